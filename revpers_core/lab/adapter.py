"""IP-Adapter-FaceID's trained layers as a module, under the names of h94's file."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..adapters.kinds import EMBEDDING
from ..adapters.projections import ImageProjection

RANK = 8
HIDDEN = 1024


class Lora(nn.Module):
    """A low-rank addition to a weight (out, in); nothing until trained."""

    def __init__(self, entry: int, exit: int):
        super().__init__()
        self.down = nn.Linear(entry, RANK, bias=False)
        self.up = nn.Linear(RANK, exit, bias=False)
        nn.init.zeros_(self.up.weight)

    def delta(self) -> Tensor:
        return self.up.weight @ self.down.weight


class Patch(nn.Module):
    """The adapter's part in one attention layer of a given width."""

    def __init__(self, width: int, context: int):
        super().__init__()
        self.to_q_lora = Lora(width, width)
        self.to_k_lora = Lora(context, width)
        self.to_v_lora = Lora(context, width)
        self.to_out_lora = Lora(width, width)

    def delta(self, projection: str) -> Tensor:
        """What strength 1 adds to the projection's weight (out, in)."""
        return getattr(self, f"{projection}_lora").delta()


class CrossPatch(Patch):
    """The adapter's part in a cross-attention, which also has keys and values of the identity."""

    def __init__(self, width: int, context: int):
        super().__init__(width, context)
        self.to_k_ip = nn.Linear(context, width, bias=False)
        self.to_v_ip = nn.Linear(context, width, bias=False)


class Adapter(nn.Module):
    """Identity embeddings (B, 512) to tokens (B, 4, context), and the patches: number 2 i is the self-attention of the
    i-th transformer block (down, up, middle), 2 i + 1 its cross-attention. widths: of those blocks."""

    def __init__(self, widths: Sequence[int], context: int):
        super().__init__()
        self.image_proj = ImageProjection(EMBEDDING, HIDDEN, context)
        self.ip_adapter = nn.ModuleList(
            patch for width in widths for patch in (Patch(width, width), CrossPatch(width, context))
        )

    def pair(self, slot: int) -> tuple[nn.Module, nn.Module]:
        return self.ip_adapter[2 * slot], self.ip_adapter[2 * slot + 1]

    def forward(self, embedding: Tensor) -> Tensor:
        return self.image_proj(embedding)
