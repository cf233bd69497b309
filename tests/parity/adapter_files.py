"""Adapter files of exactly the published layouts, small and with random weights; key by key as the authors' classes
write them, so that nothing of our own modules decides what a file looks like."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

CLIP, FACE = 1280, 512
NAMES = {
    "faceid": "ip-adapter-faceid_sdxl.bin",
    "faceid-plusv2": "ip-adapter-faceid-plusv2_sdxl.bin",
    "faceid-plus": "ip-adapter-faceid-plus_sd15.bin",
    "faceid-portrait": "ip-adapter-faceid-portrait_sdxl.bin",
    "faceid-portrait-unnorm": "ip-adapter-faceid-portrait_sdxl_unnorm.bin",
    "instantid": "ip-adapter.bin",
    "plus-face": "ip-adapter-plus-face_sdxl_vit-h.bin",
}
"""The published file of each kind."""


def adapter(
    kind: str, widths: Sequence[int], context: int = 64, inner: int = 64, clip: int = CLIP, seed: int = 0
) -> dict[str, dict[str, Tensor]]:
    """The two dicts of a file. widths: of the UNet's transformer blocks, in the adapter's order. inner: the resampler's
    (published: 1280)."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        fan = shape[-1] if len(shape) > 1 else 100
        return torch.randn(*shape, generator=draw) / fan**0.5

    def norm(name: str, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + random(width), f"{name}.bias": random(width)}

    def linear(name: str, entry: int, exit: int, bias: bool = True) -> dict[str, Tensor]:
        return {f"{name}.weight": random(exit, entry)} | ({f"{name}.bias": random(exit)} if bias else {})

    def layers(prefix: str, width: int) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for i in range(4):
            at = f"{prefix}layers.{i}."
            state |= norm(at + "0.norm1", width) | norm(at + "0.norm2", width)
            state |= {f"{at}0.to_q.weight": random(width, width), f"{at}0.to_kv.weight": random(2 * width, width)}
            state |= {f"{at}0.to_out.weight": random(width, width)} | norm(at + "1.0", width)
            state |= {f"{at}1.1.weight": random(4 * width, width), f"{at}1.3.weight": random(width, 4 * width)}
        return state

    def mlp(tokens: int) -> dict[str, Tensor]:
        return (
            linear("proj.0", FACE, 2 * FACE) | linear("proj.2", 2 * FACE, tokens * context) | norm("norm", context)
        )  # fmt: skip

    def resampler(entry: int) -> dict[str, Tensor]:
        state = {"latents": torch.randn(1, 16, inner, generator=draw)} | linear("proj_in", entry, inner)
        return state | linear("proj_out", inner, context) | norm("norm_out", context) | layers("", inner)

    def plus() -> dict[str, Tensor]:
        at = "perceiver_resampler."
        ends = linear(at + "proj_in", clip, context) | linear(at + "proj_out", context, context)
        return mlp(4) | ends | norm(at + "norm_out", context) | layers(at, context)

    image_proj = {
        "faceid": lambda: mlp(4),
        "faceid-plus": plus,
        "faceid-plusv2": plus,
        "faceid-portrait": lambda: mlp(16),
        "faceid-portrait-unnorm": lambda: resampler(FACE),
        "instantid": lambda: resampler(FACE),
        "plus-face": lambda: resampler(clip),
    }[kind]()
    ip: dict[str, Any] = {}
    for slot, width in enumerate(widths):
        for n in (2 * slot, 2 * slot + 1):
            if kind in ("faceid", "faceid-plus", "faceid-plusv2"):
                entries = {"q": width, "k": context if n % 2 else width, "v": context if n % 2 else width, "out": width}
                for name, entry in entries.items():
                    stem = f"{n}.to_{name}_lora"
                    ip |= {f"{stem}.down.weight": random(2, entry), f"{stem}.up.weight": random(width, 2)}
            if n % 2:
                ip |= {f"{n}.to_{x}_ip.weight": random(width, context) for x in "kv"}
    return {"image_proj": image_proj, "ip_adapter": ip}
