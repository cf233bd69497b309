"""docs/benchmarks.json as tables and plots in docs/benchmarks.md; what was not measured says so."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
NOT_MEASURED = "not measured"
CONTESTANTS = (
    "plain loop",
    "plain loop, LoRA merged",
    "LEDITS++ (diffusers)",
    "ours",
    "ours, one step a call",
    "ours, 16 steps",
    "ours, 10 steps",
    "ours, another guidance",
)


def written(text: str, result: Result) -> str:
    """The page with every ``<!-- measured: NAME -->`` block filled again."""
    sections = {
        "machine": machines(result["machines"]),
        "pocket": contest(result.get("pocket"), "CPU"),
        "sdxl bfloat16": contest(result.get("sdxl bfloat16"), "GPU"),
        "sdxl float16": contest(result.get("sdxl float16"), "GPU"),
        "sdxl size": size(result.get("sdxl size")),
        "comfyui": comfyui(result.get("comfyui")),
        "backends": backends(result.get("backends"), result.get("whole compile")),
        "backends gpu": backends(result.get("backends gpu")),
        "growth": growth(result.get("growth")),
        "growth gpu": growth(result.get("growth gpu")),
    }
    for name, section in sections.items():
        block = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.S)
        text, count = block.subn(lambda found, section=section: f"{found[1]}{section}\n{found[2]}", text)
        if count != 1:
            raise ValueError(f"the page must have one place for {name!r}, it has {count}")
    return text


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machines(found: dict[str, Result]) -> str:
    """What is the same for all parts, and what differs, by part."""
    first, *others = found.values()
    same = [key for key in first if all(one.get(key) == first[key] for one in others)]
    rows = [(key, first[key]) for key in same]
    for key in first:
        if key not in same:
            rows += [(f"{key}: {part}", one.get(key, NOT_MEASURED)) for part, one in found.items()]
    return table(("what", "value"), rows)


def contest(found: Result | None, unit: str) -> str:
    """One row a contestant; GPU rows are timed by the clock, CPU rows by the process's own time."""
    time = {"wall seconds": "wall"} if unit == "GPU" else {"CPU seconds": "cpu", "wall seconds": "wall"}
    head = ("run", "evaluations", "calls", *time, "x plain loop", "x floor", "outside the UNet", "peak MiB")
    if found is None:
        return table(head, [[name, *[NOT_MEASURED] * (len(head) - 1)] for name in CONTESTANTS])
    rows = [
        [
            name,
            f"{row['evaluations']:g}",
            f"{row['calls']:g}",
            *(f"{row[key]:.2f}" for key in time.values()),
            f"{row['ratio']:.2f}",
            f"{row['floors']:.1f}",
            f"{row['outside']:.1%}",
            f"{row['peak']:.0f}",
        ]
        for name, row in found["rows"].items()
    ]
    rate = found["matmul_rate"][next(iter(time.values()))]
    return "\n\n".join(
        (
            table(head, rows),
            f"Medians of {found['repeats']} rounds of {found['steps']} steps. One evaluation: "
            f"{found['flops_a_row'] / 1e9:,.2f} GFLOP; matmul rate {rate / 1e9:,.1f} GFLOP/s; floor of the plain "
            f"loop's evaluations {found['rows']['plain loop']['floor']:.2f} s.",
            f"Final latents, ours against the plain loop with its oddities off: {found['agreement']:.1e} of the "
            "largest value.",
        )
    )


def size(found: Result | None) -> str:
    head = ("SDXL at 1024 x 1024, counted without weights", "value")
    if found is None:
        return table(head, [["all", NOT_MEASURED]])
    return table(
        head,
        (
            ("UNet parameters", f"{found['parameters'] / 1e9:.3f} billion"),
            ("attention blocks that the adapter enters", found["slots"]),
            ("one evaluation", f"{found['flops_a_row'] / 1e12:.2f} TFLOP"),
            ("encoding by the VAE", f"{found['flops_encode'] / 1e12:.2f} TFLOP"),
            ("decoding by the VAE", f"{found['flops_decode'] / 1e12:.2f} TFLOP"),
            ("400 evaluations (100 steps)", f"{400 * found['flops_a_row'] / 1e15:.2f} PFLOP"),
            ("64 evaluations (16 steps)", f"{64 * found['flops_a_row'] / 1e15:.2f} PFLOP"),
        ),
    )


def comfyui(found: Result | None) -> str:
    head = ("run", "evaluations", "calls", "CPU seconds", "wall seconds", "x KSampler", "outside the UNet", "peak MiB")
    if found is None:
        return table(head, [["no prepared ComfyUI", *[NOT_MEASURED] * (len(head) - 1)]])
    rows = [
        [
            name, f"{row['evaluations']:g}", f"{row['calls']:g}", f"{row['cpu']:.2f}", f"{row['wall']:.2f}",
            f"{row['ratio']:.2f}", f"{row['outside']:.1%}", f"{row['peak']:.0f}",
        ]
        for name, row in found["rows"].items()
    ]  # fmt: skip
    note = f"ComfyUI {found['version']}, torch {found['torch']}, medians of {found['repeats']} rounds."
    return f"{table(head, rows)}\n\n{note}"


def backends(found: Result | None, more: Result | None = None) -> str:
    if found is None:
        return table(("variant", "one step a call", "several"), [["all", NOT_MEASURED, NOT_MEASURED]])
    sizes = [key for key in found["rows"][0] if key != "variant"]
    head = ["variant", *(f"{size}: ms, x as it comes" for size in sizes), "largest difference", "compiling"]

    def cells(row: Result) -> list[str]:
        if "failed" in row:
            return [row["variant"], "not available: " + row["failed"].split(". ")[0], *[""] * (len(sizes) + 1)]
        times = [
            f"{1000 * row[size]['seconds']:.1f}, {row[size]['ratio']:.2f}" if size in row else NOT_MEASURED
            for size in sizes
        ]
        difference = max(row[size]["difference"] for size in sizes if size in row)
        return [row["variant"], *times, f"{difference:.1e}", f"{row['compiling']:.0f} s" if "compiling" in row else ""]

    return table(head, map(cells, [*found["rows"], *([more] if more else [])]))


def growth(found: Result | None) -> str:
    head = (
        "what grows",
        "by",
        "from",
        "to",
        "seconds per unit at the start",
        "at the end",
        "outside the UNet",
        "peak MiB",
    )
    if found is None:
        return table(head, [[name, *[NOT_MEASURED] * (len(head) - 1)] for name in ("faces", "steps", "side")])
    units = {"faces in a photo": "face", "crops in a batch": "face", "steps": "step", "side": "pixel"}
    rows = []
    for name, unit in units.items():
        first, *_, last = found[name]
        per = [one[found["clock"]] / (one["at"] ** 2 if unit == "pixel" else one["at"]) for one in (first, last)]
        rows.append(
            [
                name, unit, f"{first['at']:g}", f"{last['at']:g}", f"{per[0]:.2g}", f"{per[1]:.2g}",
                f"{first['outside']:.1%} to {last['outside']:.1%}", f"{first['peak']:.0f} to {last['peak']:.0f}",
            ]
        )  # fmt: skip
    return table(head, rows)


def plot(found: Result, path: Path) -> None:
    """Seconds over faces, steps and side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = (
        ("faces", ("faces in a photo", "crops in a batch")),
        ("steps", ("steps",)),
        ("side in pixels", ("side",)),
    )
    unit = "CPU seconds" if found["clock"] == "cpu" else "seconds"
    figure, axes = pyplot.subplots(1, len(panels), figsize=(10, 3.2), layout="constrained")
    for axis, (label, names) in zip(axes, panels, strict=True):
        for name in names:
            at = [one["at"] for one in found[name]]
            axis.plot(at, [one[found["clock"]] for one in found[name]], "o-", label=name)
            inside = [one[found["clock"]] * (1 - one["outside"]) for one in found[name]]
            axis.plot(at, inside, "--", color=axis.lines[-1].get_color(), label=f"{name}: in the UNet")
        axis.set(xlabel=label, ylabel=unit, xlim=(0, None), ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
