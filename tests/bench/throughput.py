"""Measures data sets' throughput: CPU seconds a row by engine and workers, beside pictures one by one.

    python tests/bench/throughput.py [-o docs] [--rows 4 16] [--rounds 3]

A row's cost is the slope between two sizes, each of a block a worker or more, so that loading the model is not in it.
CPU seconds are the processes' own and count also where other programs run; wall seconds only mean something on an idle
machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from revpers_core.lab.tables import table
from revpers_core.media import gallery, images
from revpers_core.method.settings import PRESETS

ROOT = Path(__file__).parents[2]
WAYS = {
    "one picture after the other (revpers anonymize)": ["anonymize"],
    "local": ["dataset"],
    "processes, 1": ["dataset", "--engine", "processes", "--workers", "1"],
    "processes, 2": ["dataset", "--engine", "processes", "--workers", "2"],
    "processes, 4": ["dataset", "--engine", "processes", "--workers", "4"],
}
SINGLE = next(iter(WAYS))


def cost(way: list[str], rows: int, folder: Path) -> dict[str, float]:
    """CPU and wall seconds of a whole command on so many pictures, and its share in the UNet where it tells."""
    source = folder / f"in{rows}"
    if not source.is_dir():
        source.mkdir()
        for k in range(rows):
            images.write_png(images.to_pil(gallery.aligned_face(k % 60, k // 60)), source / f"{k:03}.png")
    out = Path(tempfile.mkdtemp(dir=folder)) / "out"
    call = [
        sys.executable,
        "-m",
        "revpers_core.cli",
        way[0],
        str(source),
        "-o",
        str(out),
        "--crops",
        "--json",
        *way[1:],
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call += ["--block-rows", "1"] if way[0] == "dataset" else []
    begun = time.perf_counter()
    child = subprocess.Popen(call, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    said = child.stdout.read().decode()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(call)} failed")
    figures = json.loads(said.splitlines()[-1])
    return {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "unet": figures.get("share_in_unet") or float("nan")}


def measure(sizes: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """A record a way; ways take turns."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    fewest, many = sizes
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, way in WAYS.items():
                a, b = (cost(way, rows, Path(folder)) for rows in sizes)
                slope = {key: (b[key] - a[key]) / (many - fewest) for key in ("cpu", "wall")}
                found[name].append({**slope, "unet": b["unet"]})
                print(name, {key: round(value, 3) for key, value in found[name][-1].items()}, flush=True)
    mean = {name: {key: median(one[key] for one in seen) for key in seen[0]} for name, seen in found.items()}
    single = mean[SINGLE]["cpu"]
    return [
        {
            "way": name,
            "cpu_seconds_a_row": round(one["cpu"], 3),
            "of_single_calls": round(single / one["cpu"], 3),
            "wall_seconds_a_row": round(one["wall"], 3),
            "share_in_unet": None if one["unet"] != one["unet"] else round(one["unet"], 3),
        }
        for name, one in mean.items()
    ]


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Rows a CPU second and a wall second over workers, beside linear growth."""
    from matplotlib.figure import Figure

    workers = [(int(row["way"].split(", ")[1]), row) for row in rows if ", " in row["way"]]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = [count for count, _ in workers]
    single = rows[0]["cpu_seconds_a_row"]
    left.plot(x, [single / row["cpu_seconds_a_row"] for _, row in workers], "o-", label="measured")
    left.axhline(1, color="grey", lw=0.8, label="picture by picture")
    left.set(title="work done a CPU second", xlabel="workers", ylim=(0, 1.2), xticks=x)
    right.plot(
        x, [1 / row["wall_seconds_a_row"] for _, row in workers], "o-", label=f"measured ({os.cpu_count()} cores)"
    )
    right.plot(x[:2], [count / workers[0][1]["wall_seconds_a_row"] for count in x[:2]], "--", label="linear to 2")
    right.set(title="rows a second by the clock", xlabel="workers", xticks=x, ylim=(0, None))
    for axes in (left, right):
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


SECONDS = 2.50 / 60
"""Of an H100 for one evaluation of SDXL at 1024 pixels, as published for 30 steps with guidance; not measured by us."""
IN_UNET, BESIDE, AGAIN, PRICE = 0.95, 0.3, 0.1, 3.0
"""Share of the model's time that is the UNet's; seconds a photo for reading, search, judges and writing; share of faces
that a judge sends back once, at half the evaluations; dollars for an H100's hour."""


def costs(faces: float = 1.0, photos: int = 1_000_000) -> str:
    """What so many photos take on H100s, as a table: evaluations are ours, the rest are the assumptions above."""
    rows: list[tuple[str, ...]] = []
    for name, preset in PRESETS.items():
        model = faces * preset.evaluations * (1 + AGAIN / 2) * SECONDS / IN_UNET
        hours = photos * (model + BESIDE) / 3600
        days = f"{hours / 24:,.0f} / {hours / 24 / 8:,.1f} / {hours / 24 / 64:,.1f}"
        costs = (f"{model + BESIDE:.2f}", f"{hours:,.0f}", days, f"{hours * PRICE:,.0f}")
        rows.append((name, str(preset.evaluations), *costs))
    heads = ("preset", "evaluations a face", "s a photo", "H100 hours", "days on 1 / 8 / 64", "dollars")
    return table(heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--costs", action="store_true", help="print what a million photos cost, measure nothing")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs")
    parser.add_argument("--rows", type=int, nargs=2, default=(4, 16))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.costs:
        print(costs())
        return
    args.output.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    rows = measure(tuple(args.rows), args.rounds)
    record = {"cores": os.cpu_count(), "load_at_the_start": round(load, 1), "rows": rows}
    (args.output / "datasets.json").write_text(json.dumps(record, indent=1) + "\n")
    plot(rows, args.output / "datasets_growth.png")


if __name__ == "__main__":
    main()
