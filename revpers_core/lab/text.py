"""SDXL's two text encoders in small, under the names that its single-file checkpoints use, and their words.

The token tables hold only the words that captions use; the last row stands for every other word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pocket.vocabulary import VOCABULARY
from .world.factors import AGES, COLOURS, SEXES, SKINS

WIDTH = 32
LAYERS = 3
HEADS = 2
HIDDEN = 64
LENGTH = 77
START, END = 49406, 49407
TOKENIZER = Path(__file__).resolve().parents[1] / "hosts/sdxl/tokenizer"
PHRASES = (
    ",", *AGES, *SEXES, *(f"{s} skin" for s in SKINS), *(f"{c} hair" for c in COLOURS), "bald", "smiling", "open mouth",
    "beard", "glasses",
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """Stock CLIP tokens of the captions' words. Rows of the compact tables: `ids` in order, then everything else."""

    folder: Path = TOKENIZER

    @cached_property
    def tokenizer(self):
        from transformers import CLIPTokenizer

        return CLIPTokenizer(str(self.folder / "vocab.json"), str(self.folder / "merges.txt"))

    @cached_property
    def phrases(self) -> dict[str, list[int]]:
        """Token ids of each phrase that captions are put together from; a comma's are those of ","."""
        return {phrase: self.tokenizer(phrase, add_special_tokens=False).input_ids for phrase in PHRASES}

    @cached_property
    def ids(self) -> list[int]:
        """The used token ids, rising; END pads L and 0 pads G."""
        return sorted({0, START, END}.union(*self.phrases.values()))

    @cached_property
    def rows(self) -> Tensor:
        """(VOCABULARY,) int64: the compact row of every token."""
        rows = torch.full((VOCABULARY,), len(self.ids))
        rows[torch.tensor(self.ids)] = torch.arange(len(self.ids))
        return rows

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """(B, LENGTH) stock token ids of prompts, padded with END as encoder L wants them."""
        return pad([self.tokenizer(p, add_special_tokens=False).input_ids for p in prompts])


def pad(words: Sequence[Sequence[int]]) -> Tensor:
    """(B, LENGTH) int64 from token ids without START and END; cut where too long."""
    rows = [[START, *line[: LENGTH - 2], END] for line in words]
    return torch.tensor([row + [END] * (LENGTH - len(row)) for row in rows])


def caption(words: dict[str, str]) -> str:
    """One prompt of a photograph's words: "old woman, dark skin, blond hair, smiling"."""
    subject = " ".join(filter(None, (words["age"], words["sex"])))
    return ", ".join(
        filter(None, (subject, words["skin"], words["hair"], words["expression"], words["beard"], words.get("glasses")))
    )


def every_caption() -> list[str]:
    """One caption for each age, sex and skin."""
    return [f"{a} {s}, {k} skin" for a, s, k in product(AGES, SEXES, SKINS)]


class _AttentionL(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(_causal(self.q_proj(x), self.k_proj(x), self.v_proj(x)))


class _LayerL(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = _AttentionL()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, HIDDEN), "fc2": nn.Linear(HIDDEN, WIDTH)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        h = self.mlp["fc1"](self.layer_norm2(x))
        return x + self.mlp["fc2"](h * torch.sigmoid(1.702 * h))


class EncoderL(nn.Module):
    """Hugging Face's CLIP text model. Its last layer and final norm exist for the layout: SDXL stops before them."""

    def __init__(self, table: int):
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {"token_embedding": nn.Embedding(table, WIDTH), "position_embedding": nn.Embedding(LENGTH, WIDTH)}
        )
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(_LayerL() for _ in range(LAYERS))})
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, rows: Tensor) -> Tensor:
        """Penultimate hidden states (B, LENGTH, WIDTH) of table rows (B, LENGTH)."""
        x = self.embeddings["token_embedding"](rows) + self.embeddings["position_embedding"].weight
        for layer in list(self.encoder["layers"].children())[:-1]:
            x = layer(x)
        return x


class _AttentionG(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * WIDTH, WIDTH)))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * WIDTH))
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(_causal(*F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)))


class _LayerG(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = _AttentionG()
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(WIDTH, HIDDEN), "c_proj": nn.Linear(HIDDEN, WIDTH)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class EncoderG(nn.Module):
    """OpenCLIP's text model."""

    def __init__(self, table: int):
        super().__init__()
        self.token_embedding = nn.Embedding(table, WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.01)
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(_LayerG() for _ in range(LAYERS))})
        self.ln_final = nn.LayerNorm(WIDTH)
        self.text_projection = nn.Parameter(torch.randn(WIDTH, WIDTH) * WIDTH**-0.5)

    def forward(self, rows: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """Penultimate hidden states (B, LENGTH, WIDTH) and the pooled text (B, WIDTH), read at positions end (B,)."""
        x = self.token_embedding(rows) + self.positional_embedding
        hidden = x
        for layer in self.transformer["resblocks"].children():
            hidden, x = x, layer(x)
        return hidden, self.ln_final(x[torch.arange(len(x)), end]) @ self.text_projection


class TextEncoders(nn.Module):
    """Both encoders as SDXL uses them. table: rows of the token tables, compact or full."""

    def __init__(self, table: int):
        super().__init__()
        self.l, self.g = EncoderL(table), EncoderG(table)

    def forward(self, rows: Tensor, end: Tensor, zero: int | Tensor) -> tuple[Tensor, Tensor]:
        """(context (B, LENGTH, 2 * WIDTH), pooled (B, WIDTH)).

        rows: (B, LENGTH) table rows, padded with END's; end: (B,) where END stands first; zero: the row of token 0,
        which pads G.
        """
        hidden = self.l(rows)
        after = torch.arange(LENGTH, device=rows.device) > end[:, None]
        hidden_g, pooled = self.g(torch.where(after, zero, rows), end)
        return torch.cat((hidden, hidden_g), -1), pooled


def _causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
