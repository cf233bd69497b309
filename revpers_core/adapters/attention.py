"""What the adapter computes: identity tokens, and their keys and values for every slot."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..method.types import Identity
from .clip import FaceVision
from .kinds import RECOGNISERS, Kind, Projection
from .projections import projection
from .weights import AdapterWeights

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


class KVProjection(nn.Module):
    """Identity tokens (B, T, C) -> keys and values (B, T, inner) of one slot's identity attention, one by one:
    rounding must not depend on the batch, or a null replay would drift from the inversion's single nobody."""

    def __init__(self, context: int, inner: int, ops: Any = nn):
        super().__init__()
        self.to_k = ops.Linear(context, inner, bias=False)
        self.to_v = ops.Linear(context, inner, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = zip(
            *((self.to_k(token_rows), self.to_v(token_rows)) for token_rows in tokens.split(1)), strict=True
        )
        return torch.cat(keys), torch.cat(values)


class AdapterModules(nn.Module):
    """The adapter's trained layers without its LoRA. ``ops`` is where Linear and LayerNorm come from (a host's own)."""

    def __init__(self, weights: AdapterWeights, ops: Any = nn):
        super().__init__()
        self.kind = weights.kind
        inner = [weights.identity_projections(i)[0].shape[0] for i in range(weights.slots)]
        self.image_proj = projection(weights.kind, weights.image_proj, ops)
        self.kv = nn.ModuleList(KVProjection(weights.context, width, ops) for width in inner)

    def tokens(self, identity: Identity, like: Tensor, vision: FaceVision | None = None) -> Tensor:
        """Identity tokens (B, T, C), one by one as their keys and values. like: a tensor where they are made and in
        what. vision: what kinds with CLIP look through.

        Raises ValueError for an identity that this kind of adapter cannot read.
        """
        kind, parts = self.kind, list[Tensor]()
        if kind.recogniser:
            check_recogniser(kind, identity)
            vector = identity.embedding if kind.normed else identity.raw
            parts.append(vector[:, None] if kind.projection is Projection.RESAMPLER else vector)
        if kind.clip:
            if vision is None:
                raise ValueError(
                    f"adapter: {kind.name} also looks at the face through CLIP ViT-H: connect or name its image encoder"
                )
            parts.append(vision.features(identity))
        parts = [feature.to(like) for feature in parts]
        return torch.cat(
            [self.image_proj(*item) for item in zip(*(feature.split(1) for feature in parts), strict=True)]
        )

    @staticmethod
    def state(weights: AdapterWeights) -> dict[str, Tensor]:
        """The record's tensors under this module's names."""
        state = {f"image_proj.{key}": value for key, value in weights.image_proj.items()}
        for i in range(weights.slots):
            state[f"kv.{i}.to_k.weight"], state[f"kv.{i}.to_v.weight"] = weights.identity_projections(i)
        return state


def check_recogniser(kind: Kind, identity: Identity) -> None:
    """Raise ValueError where another recogniser read the identity than the adapter was trained with: guidance would
    lead away from nobody. Recognisers that are not known to be wrong pass."""
    others = [start for pack, start in RECOGNISERS.items() if pack != kind.recogniser]
    if identity.recogniser.startswith(tuple(others)):
        raise ValueError(
            f"identity: {kind.name} adapters understand the recogniser of {kind.recogniser} "
            f"({RECOGNISERS[kind.recogniser]}...onnx) only, this one was read by {identity.recogniser}: "
            f"load {kind.recogniser} as face model"
        )


def check_opposite(kind: Kind) -> None:
    """Raise ValueError where an identity has no opposite: there is none of a picture, which CLIP sees."""
    if kind.clip:
        raise ValueError(f"nullface needs an adapter that takes embeddings alone: {kind.name} also sees the picture")


def add_identity(text: Tensor, attend: Attention, q: Tensor, kv: tuple[Tensor, Tensor], scale: float) -> Tensor:
    """Decoupled cross-attention (arXiv:2308.06721, eq. 5), before the output projection: text + scale * identity."""
    return text + scale * attend(q, *kv)


def rows(parts: Sequence[Tensor], repeat: int) -> Tensor:
    """Stack one part per branch, each (B or 1, ...), to ``repeat`` rows a branch: the batch a UNet sees."""
    return torch.cat([branch.expand(repeat, *branch.shape[1:]) if branch.shape[0] == 1 else branch for branch in parts])
