"""Parity with the paper's own code: one JSON line a case, exit 1 over the tolerances, 2 where a mode is unsupported.

python tests/parity/run.py --golden DIR --cases DIR/cases --host diffusers|comfyui --dtype float32|float64

With --instead somebody stands in the unconditional branch of the sampling phase, which the paper's code cannot do: the
reference, ``instead.safetensors``, is what the diffusers host made of it (--write makes it anew), for the other host.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
FINAL = {"float32": 3e-4, "float64": 1e-9}
FINAL_MEDIAN = {"float32": 3e-5, "float64": 1e-9}
INSTEAD = 1e-4
NULL_RESET = {"float32": 1e-6, "float64": 1e-10}


@dataclass(frozen=True)
class Case:
    """One golden run. Tensors come by kind: ``f32``, or ``f64t`` (network and tables in float64)."""

    settings: dict[str, Any]
    tensors: dict[str, Any]
    text: dict[str, Any]
    kind: str

    def golden(self, name: str) -> Any:
        return self.tensors[f"{name}.{self.kind}"]

    def words(self, phase: str) -> tuple[Any, Any]:
        """(embeds (2, 77, C), pooled (2, P)) of a phase, "inv" or "gen"; row 0 unconditional."""
        stem, kind = self.settings[f"text_{phase}"], self.kind[:3]
        return self.text[f"{stem}.embeds.{kind}"], self.text[f"{stem}.pooled.{kind}"]

    def identity(self, phase: str) -> Any:
        """(2, 512), row 0 unconditional."""
        return self.tensors[f"id_embeds.{phase}"].flatten(1)

    def time_ids(self, phase: str) -> Any:
        return self.tensors[f"time_ids.{phase}"]


@dataclass(frozen=True)
class Outcome:
    """A host's tensors for one case: the first state, the maps, the result in parity mode, and our null replay."""

    init: Any
    zs: Any
    final: Any
    null_reset: Any


class Host(Protocol):
    def __call__(self, case: Case) -> Outcome: ...


def read_cases(golden: Path, folder: Path, kind: str) -> list[Case]:
    from safetensors.torch import load_file

    text = load_file(golden / "text.safetensors")
    names = sorted(folder.glob("*.json"))
    return [Case(json.loads(n.read_text()), load_file(n.with_suffix(".safetensors")), text, kind) for n in names]


def relative(ours: Any, expected: Any) -> float:
    """max |difference| / max |reference|; infinite where ours is not finite."""
    difference = ((ours.double().cpu() - expected.double()).abs().max() / expected.double().abs().max()).item()
    return difference if difference == difference else float("inf")


def measure(case: Case, host: Host) -> dict[str, Any]:
    ours = host(case)
    row = {
        name: relative(getattr(ours, name).reshape(case.golden(name).shape), case.golden(name))
        for name in ("init", "zs", "final")
    }
    row["null_reset"] = relative(ours.null_reset, case.golden("x0"))
    return {"case": case.settings["name"], **row}


def with_stand_in(case: Case) -> Case:
    """The case with somebody in the unconditional branch of the sampling phase."""
    import torch

    ids = case.identity("gen").clone()
    ids[0] = torch.nn.functional.normalize(torch.randn(512, generator=torch.Generator().manual_seed(7)), dim=0)
    return replace(case, tensors={**case.tensors, "id_embeds.gen": ids})


def measure_instead(case: Case, host: Host, reference: Any) -> dict[str, Any]:
    ours = host(with_stand_in(case))
    final = relative(ours.final.reshape(reference.shape), reference)
    null = relative(ours.null_reset, case.golden("x0"))
    return {"case": case.settings["name"], "final": final, "null_reset": null}


def run_instead(cases: list[Case], host: Host, file: Path, write: bool) -> int:
    """Exit code 1 where a result is over ``INSTEAD`` or a null replay over its tolerance."""
    from safetensors.torch import load_file, save_file

    if write:
        result = {case.settings["name"]: host(with_stand_in(case)).final for case in cases}
        save_file({name: one.float().contiguous() for name, one in result.items()}, file)
    known, wrong = load_file(file), []
    for case in cases:
        row = measure_instead(case, host, known[case.settings["name"]])
        print(json.dumps(row), flush=True)
        if not (row["final"] <= INSTEAD and row["null_reset"] <= NULL_RESET["float32"]):
            wrong.append(row["case"])
    return bool(wrong or not cases)


def verdict(rows: list[dict[str, Any]], dtype: str) -> list[str]:
    """What is over the tolerances, in words; nothing when all is well."""
    wrong = [f"{r['case']}: final {r['final']:.1e}" for r in rows if not r["final"] <= FINAL[dtype]]
    wrong += [
        f"{r['case']}: null_reset {r['null_reset']:.1e}" for r in rows if not r["null_reset"] <= NULL_RESET[dtype]
    ]
    if not rows:
        return ["no cases found"]
    middle = median(r["final"] for r in rows)
    return wrong + ([f"median final {middle:.1e}"] if not middle <= FINAL_MEDIAN[dtype] else [])


def in_prepared_host() -> int:
    """Run this again in the first prepared ComfyUI's environment."""
    sys.path.insert(0, str(HERE.parent / "host"))
    from prepare import prepared

    found = prepared()
    if not found:
        print("NOT TESTED: no prepared ComfyUI (set COMFYUI_PATHS and run: make host)", file=sys.stderr)
        return 2
    root, python = found[0]
    return subprocess.run(
        [python, __file__, *sys.argv[1:]], env={**os.environ, "REVPERS_COMFYUI": str(root)}, check=False
    ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", type=Path, default=HERE / "golden")
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--host", choices=("diffusers", "comfyui"), default="diffusers")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--instead", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.host == "comfyui" and args.dtype == "float64":
        print("unsupported: ComfyUI computes in float32", file=sys.stderr)
        return 2
    if args.host == "comfyui" and "REVPERS_COMFYUI" not in os.environ:
        return in_prepared_host()
    sys.path[:0] = [str(HERE), str(HERE.parents[1])] if args.host == "diffusers" else [str(HERE)]
    if args.host == "comfyui":
        from comfyui_host import ComfyUIHost as host
    else:
        from diffusers_host import DiffusersHost as host
    cases = read_cases(
        args.golden, args.cases or args.golden / "cases", {"float32": "f32", "float64": "f64t"}[args.dtype]
    )
    run, rows = host(args.golden, args.dtype), []
    if args.instead:
        return run_instead(cases, run, HERE / "instead.safetensors", args.write)
    for case in cases:
        rows.append(measure(case, run))
        print(json.dumps(rows[-1]), flush=True)
    wrong = verdict(rows, args.dtype)
    for line in wrong:
        print(f"over the tolerance: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
