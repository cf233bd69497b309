"""What the adapter computes: identity tokens, and their keys and values for every slot."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .weights import EMBEDDING, TOKENS, FaceIDWeights

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


class ImageProjection(nn.Module):
    """Identity embeddings (B, 512) -> identity tokens (B, 4, C). A zero embedding gives the null identity's tokens,
    which are not zero."""

    def __init__(self, hidden: int, context: int, ops: Any = nn):
        super().__init__()
        self.context = context
        self.proj = nn.Sequential(ops.Linear(EMBEDDING, hidden), nn.GELU(), ops.Linear(hidden, TOKENS * context))
        self.norm = ops.LayerNorm(context)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.norm(self.proj(embedding).unflatten(-1, (TOKENS, self.context)))


class KVProjection(nn.Module):
    """Identity tokens (B, 4, C) -> keys and values (B, 4, inner) of one slot's identity attention, one by one:
    rounding must not depend on the batch, or a null replay would drift from the inversion's single nobody."""

    def __init__(self, context: int, inner: int, ops: Any = nn):
        super().__init__()
        self.to_k = ops.Linear(context, inner, bias=False)
        self.to_v = ops.Linear(context, inner, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = zip(*((self.to_k(one), self.to_v(one)) for one in tokens.split(1)), strict=True)
        return torch.cat(keys), torch.cat(values)


class FaceIDModules(nn.Module):
    """The adapter's trained layers without its LoRA. ``ops`` is where Linear and LayerNorm come from (a host's own)."""

    def __init__(self, weights: FaceIDWeights, ops: Any = nn):
        super().__init__()
        hidden = weights.image_proj["proj.0.weight"].shape[0]
        inner = [weights.identity_projections(i)[0].shape[0] for i in range(weights.slots)]
        self.image_proj = ImageProjection(hidden, weights.context, ops)
        self.kv = nn.ModuleList(KVProjection(weights.context, width, ops) for width in inner)

    def tokens(self, embedding: Tensor) -> Tensor:
        """Identity tokens (B, 4, C) of embeddings (B, 512), one by one as their keys and values."""
        return torch.cat([self.image_proj(one) for one in embedding.split(1)])

    @staticmethod
    def state(weights: FaceIDWeights) -> dict[str, Tensor]:
        """The record's tensors under this module's names."""
        state = {f"image_proj.{key}": value for key, value in weights.image_proj.items()}
        for i in range(weights.slots):
            state[f"kv.{i}.to_k.weight"], state[f"kv.{i}.to_v.weight"] = weights.identity_projections(i)
        return state


def add_identity(text: Tensor, attend: Attention, q: Tensor, kv: tuple[Tensor, Tensor], scale: float) -> Tensor:
    """Decoupled cross-attention (arXiv:2308.06721, eq. 5), before the output projection: text + scale * identity."""
    return text + scale * attend(q, *kv)


def rows(parts: Sequence[Tensor], repeat: int) -> Tensor:
    """Stack one part per branch, each (B or 1, ...), to ``repeat`` rows a branch: the batch a UNet sees."""
    return torch.cat([part.expand(repeat, *part.shape[1:]) if part.shape[0] == 1 else part for part in parts])
