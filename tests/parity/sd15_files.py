"""SD 1.5 in small, random weights, and its UNet under the names of the original checkpoint."""

import torch
from torch import Tensor

SMALL = {
    "block_out_channels": [32, 64], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "layers_per_block": 1,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "cross_attention_dim": 64, "attention_head_dim": 2,
    "sample_size": 16,
}  # fmt: skip
WIDTHS = [32, 32, 32, 64]
"""Of its transformer blocks: one down, two up, then the middle."""


def original_unet(state: dict[str, Tensor], levels: int = 2, layers: int = 1) -> dict[str, Tensor]:
    """diffusers' UNet keys as the original checkpoint has them."""
    renamed = {
        "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
        "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    ends = {
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    }  # fmt: skip

    def block(part: list[str]) -> str:
        if part[0] == "mid_block":
            return f"middle_block.{2 * int(part[2]) if part[1] == 'resnets' else 1}"
        level, kind, layer = int(part[1]), part[2], int(part[3])
        if part[0] == "down_blocks":
            if kind == "downsamplers":
                return f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
            return f"input_blocks.{1 + level * (layers + 1) + layer}.{kind == 'attentions':d}"
        if kind == "upsamplers":
            crossed = any(key.startswith(f"up_blocks.{level}.attentions") for key in state)
            return f"output_blocks.{level * (layers + 1) + layers}.{1 + crossed}.conv"
        return f"output_blocks.{level * (layers + 1) + layer}.{kind == 'attentions':d}"

    out: dict[str, Tensor] = {}
    for key, value in state.items():
        part = key.split(".")
        stem = next((name for name in ends if key.startswith(f"{name}.")), None)
        if stem:
            out[key.replace(stem, ends[stem])] = value
            continue
        used = 3 if part[0] == "mid_block" else 5 if "samplers" in key else 4
        rest = part[used:]
        if "resnets" in part:
            rest[0] = renamed[rest[0]]
        out[".".join([block(part), *rest])] = value
    return {f"model.diffusion_model.{key}": value.clone() for key, value in out.items()}


def randomised(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return module.eval().requires_grad_(False)
