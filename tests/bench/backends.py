"""One call of our UNet under every attention backend that is there, and compiled."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import median
from typing import Any

import torch
from meter import seconds
from models import Contest
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from revpers_core.method.schedule import sigmas, timesteps

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "math": SDPBackend.MATH,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
AS_IT_COMES = "as it comes"
BLOCKS, WHOLE = "torch.compile, transformer blocks", "torch.compile, whole UNet"
Call = Callable[[], Tensor]


def table(contest: Contest, at_once: int, repeats: int, compiling: bool = True) -> list[dict[str, Any]]:
    """A row a variant: seconds a call of two rows (one step) and of 2 ``at_once``, their ratio to the UNet as it comes,
    and how far the prediction is from it, or why there is none."""
    calls = {f"{2 * steps} rows": _call(contest, steps) for steps in (1, at_once)}
    variants: dict[str, Callable[[], Any]] = {AS_IT_COMES: nullcontext}
    variants |= {f"attention: {name}": lambda one=one: sdpa_kernel(one) for name, one in BACKENDS.items()}
    rows = [_row(variant, calls, repeats, contest.device, name) for name, variant in variants.items()]
    if not compiling:
        return rows
    unet, first = contest.ours.sdxl.unet, dict(list(calls.items())[:1])
    blocks = repeated_blocks(unet)
    if contest.device != "cuda":  # the C++ compiler takes minutes for each shape
        return [*rows, compiled(contest, blocks, first, repeats, BLOCKS)]
    return [
        *rows,
        *(compiled(contest, part, calls, repeats, name) for part, name in ((blocks, BLOCKS), ([unet], WHOLE))),
    ]


def whole_compiled(contest: Contest, repeats: int) -> dict[str, Any]:
    """The row of the whole UNet compiled, for one step a call."""
    return compiled(contest, [contest.ours.sdxl.unet], {"2 rows": _call(contest, 1)}, repeats, WHOLE)


def _call(contest: Contest, steps: int) -> Call:
    ours = contest.ours
    latents = ours.encode(contest.image)
    branches = ours.branches(ours.embed(contest.image), latents)
    levels = sigmas(timesteps(steps + 1, 0.7), ours.sigma)[:steps]
    x = torch.randn(steps, *latents.shape[1:], generator=torch.Generator().manual_seed(0)).to(latents.device).double()
    sigma = levels[0] if steps == 1 else torch.tensor(levels, dtype=torch.float64)
    return lambda: branches(x, sigma)[1]


def _row(variant: Callable[[], Any], calls: dict[str, Call], repeats: int, device: str, name: str) -> dict[str, Any]:
    """Both calls under the variant and without it, in turns."""
    found: dict[str, Any] = {"variant": name}
    for size, call in calls.items():
        plain = call()
        try:
            with variant():
                result = call()
        except RuntimeError as error:
            return {"variant": name, "failed": str(error).strip().splitlines()[0]}
        pairs: list[tuple[float, float]] = []
        for _ in range(repeats):
            with variant():
                with_it = _spent(call, device)
            pairs.append((with_it, _spent(call, device)))
        found[size] = {
            "seconds": median(a for a, _ in pairs),
            "ratio": median(a / b for a, b in pairs),
            "difference": float((result - plain).abs().max() / plain.abs().max()),
        }
    return found


def _spent(call: Call, device: str) -> float:
    wall, cpu = seconds(call, device)
    return wall if device == "cuda" else cpu


@contextmanager
def _compiled(parts: list[Any], ways: list[Any]) -> Iterator[None]:
    """The parts called in their compiled ways in here, and plainly again afterwards."""
    for part, way in zip(parts, ways, strict=True):
        part._compiled_call_impl = way
    try:
        yield
    finally:
        for part in parts:
            part._compiled_call_impl = None


def compiled(contest: Contest, parts: list[Any], calls: dict[str, Call], repeats: int, name: str) -> dict[str, Any]:
    """The row of the UNet with these parts compiled; ``compiling``: seconds until the calls have run once."""
    for part in parts:
        part.compile(dynamic=False)
    ways = [part._compiled_call_impl for part in parts]
    start = time.perf_counter()
    try:
        with _compiled(parts, ways):
            for call in calls.values():
                call()
    except Exception as error:  # whatever a compiler may raise: it is told, and the rest goes on
        return {"variant": name, "failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    taken = time.perf_counter() - start
    row = _row(lambda: _compiled(parts, ways), calls, repeats, contest.device, name)
    return {**row, "compiling": taken}


def repeated_blocks(unet: Any) -> list[Any]:
    """What diffusers recommends to compile: the blocks that a UNet has many of."""
    return [part for part in unet.modules() if type(part).__name__ in unet._repeated_blocks]
