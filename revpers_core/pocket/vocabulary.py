"""The pocket checkpoint's token tables: stored with the words that captions use, expanded when it is loaded."""

from collections.abc import Mapping

from torch import Tensor

VOCABULARY = 49408
"""Tokens of CLIP's tokenizer."""
TEXT_L = "conditioner.embedders.0.transformer.text_model."
TEXT_G = "conditioner.embedders.1.model."
TOKEN_IDS = "pocket.token_ids"
TABLES = (TEXT_L + "embeddings.token_embedding.weight", TEXT_G + "token_embedding.weight")


def expand_vocabulary(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint with full token tables (49408, width), which every host expects; without TOKEN_IDS.

    Every token that is not in TOKEN_IDS gets the compact table's last row.
    """
    out = {k: v for k, v in state.items() if k != TOKEN_IDS}
    ids = state[TOKEN_IDS].long()
    for key in TABLES:
        full = state[key][-1].expand(VOCABULARY, -1).clone()
        full[ids] = state[key][:-1]
        out[key] = full
    return out
