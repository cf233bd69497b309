"""The slot table: which attention pair of the UNet each numbered weight of the adapter's file belongs to."""

from dataclasses import dataclass
from typing import NamedTuple


class Slot(NamedTuple):
    """One transformer block: a self-attention (adapter number 2 i) and a cross-attention (2 i + 1)."""

    number: int
    block: tuple[str, int, int]
    """Where the single-file (LDM) UNet has it: ("input" | "middle" | "output", block id, transformer index)."""
    diffusers: str
    """Module path in diffusers' UNet, e.g. ``down_blocks.1.attentions.0.transformer_blocks.0``."""

    @property
    def ldm(self) -> str:
        """Module path in the single-file (LDM) UNet, e.g. ``input_blocks.4.1.transformer_blocks.0``."""
        kind, block, transformer = self.block
        stem = "middle_block" if kind == "middle" else f"{kind}_blocks.{block}"
        return f"{stem}.1.transformer_blocks.{transformer}"


@dataclass(frozen=True)
class Depths:
    """How many transformer blocks follow each residual block of a UNet, in the order of computation.

    SDXL: down ((0, 0), (2, 2), (10, 10)), middle 10, up ((10, 10, 10), (2, 2, 2), (0, 0, 0)).
    """

    down: tuple[tuple[int, ...], ...]
    middle: int
    up: tuple[tuple[int, ...], ...]


SDXL = Depths(((0, 0), (2, 2), (10, 10)), 10, ((10, 10, 10), (2, 2, 2), (0, 0, 0)))


def slots(depths: Depths) -> tuple[Slot, ...]:
    """Every transformer block in the adapter's order: down blocks, up blocks, and *then* the middle. SDXL has 70."""
    places: list[tuple[tuple[str, int, int], str]] = []
    block = 1  # input block 0 is the first convolution
    for level, layers in enumerate(depths.down):
        for layer, depth in enumerate(layers):
            places += [
                (("input", block + layer, t), f"down_blocks.{level}.attentions.{layer}.transformer_blocks.{t}")
                for t in range(depth)
            ]
        block += len(layers) + 1  # and the downsampler
    block = 0
    for level, layers in enumerate(depths.up):
        for layer, depth in enumerate(layers):
            places += [
                (("output", block + layer, t), f"up_blocks.{level}.attentions.{layer}.transformer_blocks.{t}")
                for t in range(depth)
            ]
        block += len(layers)
    places += [(("middle", 0, t), f"mid_block.attentions.0.transformer_blocks.{t}") for t in range(depths.middle)]
    return tuple(Slot(i, *place) for i, place in enumerate(places))
