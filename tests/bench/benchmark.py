"""Measure everything that docs/benchmarks.md tells: make bench. Parts of it: benchmark.py --only comfyui growth."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.mkdtemp(prefix="revpers-bench-"))  # or nothing is compiled
HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
sys.path.append(str(HERE.parent / "host"))

import backends  # noqa: E402
import contest  # noqa: E402
import growth  # noqa: E402
import models  # noqa: E402
import page  # noqa: E402
import torch  # noqa: E402
from models import Contest  # noqa: E402

from revpers_core.hosts.diffusers_files import quiet  # noqa: E402
from revpers_core.hosts.diffusers_unet import unet_slots  # noqa: E402
from revpers_core.method.types import Plan  # noqa: E402

POCKET = Plan(guidance=-5.0)
FEW = (16, 10)
"""Steps of the presets balanced and fast."""
HALF_FAILS = ("LEDITS++ (diffusers)",)
"""diffusers' LEDITS++ mixes up its VAE's precisions in float16."""
Result = dict[str, Any]


def machine() -> Result:
    """What the numbers hold for."""
    cpus, memories = (Path(f"/proc/{name}").read_text().splitlines() for name in ("cpuinfo", "meminfo"))
    cpu = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "unknown")
    memory = next(int(line.split()[1]) for line in memories if line.startswith("MemTotal"))
    found = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "processor": f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} used",
        "memory": f"{memory / (1 << 20):.0f} GiB",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load at the start": f"{os.getloadavg()[0]:.1f} processes",
        "Python": platform.python_version(),
    }
    return found | {name: version(name) for name in ("torch", "diffusers", "transformers", "numpy")}


def pocket(plan: Plan, repeats: int) -> Result:
    return _contest(models.pocket_contest(), plan, repeats)


def _contest(of: Contest, plan: Plan, repeats: int, leave_out: tuple[str, ...] = ()) -> Result:
    return contest.table(of, plan, FEW, repeats, leave_out) | {"steps": plan.steps}


def grown(of: Contest, plan: Plan, repeats: int, sides: tuple[int, ...]) -> Result:
    short = Plan(steps=8, guidance=plan.guidance)
    found = growth.faces(of, short, (1, 2, 4, 6), repeats)
    return {
        "clock": "wall" if of.device == "cuda" else "cpu",
        "faces in a photo": found["photo"],
        "crops in a batch": found["crops"],
        "steps": growth.steps(of, plan, (4, 8, 16, 32, 64), repeats),
        "side": growth.sizes(of, short, sides, repeats),
    }


def sdxl_size() -> Result:
    """SDXL's size and work, from shapes alone."""
    sdxl = models.random_sdxl(models.sdxl_configs(), "meta", torch.bfloat16)
    unet, vae = sdxl.unet, sdxl.vae

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(*shape, device="meta", dtype=torch.bfloat16)

    config = unet.config
    added = {"text_embeds": zeros(1, 1280), "time_ids": zeros(1, 6)}
    latents, words = zeros(1, 4, config.sample_size, config.sample_size), zeros(1, 77, config.cross_attention_dim)
    pixels = zeros(1, 3, 8 * config.sample_size, 8 * config.sample_size)
    return {
        "parameters": sum(one.numel() for one in unet.parameters()),
        "slots": len(unet_slots(unet)),
        "flops_a_row": contest.flops(
            lambda: unet(latents, torch.zeros(1, device="meta"), words, added_cond_kwargs=added)
        ),
        "flops_encode": contest.flops(lambda: vae.encode(pixels)),
        "flops_decode": contest.flops(lambda: vae.decode(latents)),
    }


def comfyui(steps: int, repeats: int) -> Result | None:
    """By the first prepared ComfyUI's interpreter; None where there is none."""
    from prepare import prepared
    from server import base_directory

    if not (found := prepared()):
        return None
    root, python = found[0]
    with tempfile.TemporaryDirectory() as folder:
        base = base_directory(Path(folder))
        command = [str(python), str(HERE / "in_comfyui.py"), str(root), str(base), str(steps), str(repeats)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def on_gpu(repeats: int) -> Result:
    """Every part at SDXL's real size, with random weights."""
    plan = Plan()
    found = {"sdxl float16": _contest(real_size(torch.float16), plan, repeats, HALF_FAILS)}
    torch.cuda.empty_cache()
    of = real_size(torch.bfloat16)
    return found | {
        "sdxl bfloat16": _contest(of, plan, repeats),
        "growth gpu": grown(of, plan, 1, (512, 768, 1024, 1280)),
        "backends gpu": {"rows": backends.table(of, 4, 9)},
    }


def real_size(dtype: torch.dtype) -> Contest:
    return models.random_contest(models.sdxl_configs(), "cuda", dtype)


def parts(steps: int, repeats: int) -> dict[str, Callable[[], Result]]:
    plan = Plan(steps=steps, guidance=POCKET.guidance)
    all_parts: dict[str, Callable[[], Result]] = {
        "sdxl size": lambda: {"sdxl size": sdxl_size()},
        "pocket": lambda: {"pocket": pocket(plan, repeats)},
        "growth": lambda: {"growth": grown(models.pocket_contest(), plan, 2, (64, 96, 128, 192, 256))},
        "comfyui": lambda: {"comfyui": comfyui(25, repeats)},
        "backends": lambda: {"backends": {"rows": backends.table(models.pocket_contest(), 8, 15)}},
    }
    return all_parts | ({"gpu": lambda: on_gpu(repeats)} if torch.cuda.is_available() else {})


def slow_parts() -> dict[str, Callable[[], Result]]:
    """Measured only when named; their numbers are kept."""
    return {"whole compile": lambda: {"whole compile": backends.whole_compiled(models.pocket_contest(), 15)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="these parts; the others keep their earlier numbers")
    parser.add_argument("--steps", type=int, default=POCKET.steps)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of benchmarks.md and .json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    quiet()
    usual, known = parts(args.steps, args.repeats), slow_parts()
    known |= usual
    if unknown := set(args.only or ()) - set(known):
        parser.error(f"no such part here: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    path = args.docs / "benchmarks.json"
    result: Result = json.loads(path.read_text()) if path.exists() else {}
    for name in args.only or usual:
        start, here = time.perf_counter(), machine()
        result |= known[name]()
        result.setdefault("machines", {})[name] = here
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if "growth" in result:
        page.plot(result["growth"], args.docs / "benchmarks_growth.png")
    text = args.docs / "benchmarks.md"
    text.write_text(page.written(text.read_text(), result))
    print(f"written: {path.name}, {text.name}")


if __name__ == "__main__":
    main()
