"""From an identity to its tokens: the adapters' projections, tensors named as in their files.

The perceiver is Flamingo's (arXiv:2204.14198) as IP-Adapter has it: queries attend to what is read and to themselves.
``ops`` is where Linear and LayerNorm come from (a host's own).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from .kinds import Kind, Projection

HEAD = 64
"""Width of an attention head in every published perceiver."""


class ImageProjection(nn.Module):
    """Identity embeddings (B, 512) -> identity tokens (B, T, C). A zero embedding gives the null identity's tokens,
    which are not zero."""

    def __init__(self, entry: int, hidden: int, context: int, tokens: int = 4, ops: Any = nn):
        super().__init__()
        self.tokens, self.context = tokens, context
        self.proj = nn.Sequential(ops.Linear(entry, hidden), nn.GELU(), ops.Linear(hidden, tokens * context))
        self.norm = ops.LayerNorm(context)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.norm(self.proj(embedding).unflatten(-1, (self.tokens, self.context)))


class PerceiverAttention(nn.Module):
    """Queries (B, T, D) attend to what is read (B, N, D) and to themselves."""

    def __init__(self, width: int, inner: int, ops: Any = nn):
        super().__init__()
        self.norm1, self.norm2 = ops.LayerNorm(width), ops.LayerNorm(width)
        self.to_q = ops.Linear(width, inner, bias=False)
        self.to_kv = ops.Linear(width, 2 * inner, bias=False)
        self.to_out = ops.Linear(inner, width, bias=False)

    def forward(self, features: Tensor, queries: Tensor) -> Tensor:
        features, queries = self.norm1(features), self.norm2(queries)
        k, v = self.to_kv(torch.cat([features, queries], 1)).chunk(2, -1)
        q, k, v = (t.unflatten(-1, (-1, HEAD)).transpose(1, 2) for t in (self.to_q(queries), k, v))
        return self.to_out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Perceiver(nn.Module):
    """What is read (B, N, E) -> queries (B, T, D), to tokens (B, T, C)."""

    def __init__(self, entry: int, width: int, inner: int, exit: int, depth: int, hidden: int, ops: Any = nn):
        super().__init__()
        self.proj_in, self.proj_out, self.norm_out = (
            ops.Linear(entry, width),
            ops.Linear(width, exit),
            ops.LayerNorm(exit),
        )
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PerceiverAttention(width, inner, ops),
                    nn.Sequential(
                        ops.LayerNorm(width),
                        ops.Linear(width, hidden, bias=False),
                        nn.GELU(),
                        ops.Linear(hidden, width, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )

    def resample(self, features: Tensor, queries: Tensor) -> Tensor:
        features = self.proj_in(features)
        for attention, feed_forward in self.layers:  # pyright: ignore[reportGeneralTypeIssues]
            queries = queries + attention(features, queries)
            queries = queries + feed_forward(queries)
        return self.norm_out(self.proj_out(queries))


class Resampler(Perceiver):
    """Features (B, N, E) -> tokens (B, T, C), by trained queries ``latents`` (1, T, D)."""

    def __init__(self, tokens: int, width: int, **rest: Any):
        super().__init__(width=width, **rest)
        self.latents = nn.Parameter(torch.empty(1, tokens, width))

    def forward(self, features: Tensor) -> Tensor:
        return self.resample(features, self.latents.to(features).expand(len(features), -1, -1))


class PlusProjection(ImageProjection):
    """FaceID Plus: the embedding's tokens (B, 4, C) are queries that read CLIP's features (B, 257, 1280) of the face.

    shortcut: v2 adds what they read, times 1; v1 takes it in their place.
    """

    def __init__(self, shortcut: bool, resampler: dict[str, Any], ops: Any = nn, **rest: Any):
        super().__init__(ops=ops, **rest)
        self.shortcut = shortcut
        self.perceiver_resampler = Perceiver(ops=ops, **resampler)

    def forward(self, embedding: Tensor, clip: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        tokens = super().forward(embedding)
        attended = self.perceiver_resampler.resample(clip, tokens)
        return tokens + attended if self.shortcut else attended


def projection(kind: Kind, tensors: Mapping[str, Tensor], ops: Any = nn) -> nn.Module:
    """The kind's projection, sized by the file's tensors and not yet filled with them."""
    if kind.projection is Projection.RESAMPLER:
        return Resampler(ops=ops, tokens=tensors["latents"].shape[1], **_sizes(tensors, ""))
    hidden, entry = tensors["proj.0.weight"].shape
    sizes = {"entry": entry, "hidden": hidden, "context": tensors["norm.weight"].shape[0], "tokens": kind.tokens}
    if kind.projection is Projection.MLP:
        return ImageProjection(ops=ops, **sizes)
    return PlusProjection(kind.shortcut, _sizes(tensors, "perceiver_resampler."), ops=ops, **sizes)


def _sizes(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, int]:
    """A perceiver's sizes, from its tensors."""
    width, entry = tensors[f"{prefix}proj_in.weight"].shape
    layers = {
        key.removeprefix(f"{prefix}layers.").split(".")[0] for key in tensors if key.startswith(f"{prefix}layers.")
    }
    return {
        "entry": entry,
        "width": width,
        "inner": tensors[f"{prefix}layers.0.0.to_q.weight"].shape[0],
        "exit": tensors[f"{prefix}proj_out.weight"].shape[0],
        "depth": len(layers),
        "hidden": tensors[f"{prefix}layers.0.1.1.weight"].shape[0],
    }
