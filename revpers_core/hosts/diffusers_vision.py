"""CLIP's image encoder from local files, as adapters look through it."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from ..adapters.clip import FaceVision
from ..adapters.kinds import CLIP_FILE, CLIP_WIDTH

VIT_H = CLIPVisionConfig(
    hidden_size=CLIP_WIDTH, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, image_size=224,
    patch_size=14, projection_dim=1024, hidden_act="gelu",
)  # fmt: skip
"""laion's CLIP-ViT-H-14, IP-Adapter's."""


def load_vision(path: str | Path, dtype: torch.dtype = torch.float32, device: str = "cpu") -> FaceVision:
    """From a transformers folder (h94/IP-Adapter's models/image_encoder) or ViT-H's one file of the same tensors.

    Raises ValueError for another network.
    """
    path = Path(path)
    if path.is_dir():
        model: Any = CLIPVisionModelWithProjection.from_pretrained(
            str(path), local_files_only=True, torch_dtype=dtype
        )  # fmt: skip
        if (width := model.config.hidden_size) != CLIP_WIDTH:
            raise ValueError(
                f"{path.name}: adapters look through CLIP ViT-H (width {CLIP_WIDTH}), this one has {width}: "
                f"load {CLIP_FILE}"
            )
        return _vision(model.to(device))
    state = load_file(path)
    with torch.device("meta"):
        model = CLIPVisionModelWithProjection(VIT_H)
    state.pop("vision_model.embeddings.position_ids", None)
    state = {key: value.to(dtype) for key, value in state.items()}
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ValueError(f"{path.name} is not CLIP ViT-H's image encoder: load {CLIP_FILE}") from error
    embeddings = model.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions)[None]  # no weight, so not in the file
    return _vision(model.to(device))


def _vision(model: Any) -> FaceVision:
    model = model.eval().requires_grad_(False)

    @torch.inference_mode()
    def encode(pixels: Tensor) -> Tensor:
        output = model(pixels.to(model.device, model.dtype), output_hidden_states=True)
        return output.hidden_states[-2].float().cpu()

    return FaceVision(encode)
