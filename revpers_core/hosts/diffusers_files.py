"""SDXL's parts from local files, by configurations of our own: nothing is ever looked up or downloaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from .. import pocket
from ..pocket.vocabulary import expand_vocabulary

SDXL_CONFIG = Path(__file__).parent / "sdxl"
"""Configuration and tokenizer of SDXL base 1.0."""
POCKET_CONFIG = Path(pocket.__file__).parent / "sdxl"
TEXT_L, TEXT_G = "conditioner.embedders.0.", "conditioner.embedders.1."
MARKS = (
    "model.diffusion_model.label_emb.0.0.weight",
    f"{TEXT_L}transformer.text_model.embeddings.position_embedding.weight",
    f"{TEXT_G}model.positional_embedding",
)
"""Keys that together only SDXL's own single files have (not SD 1.5's, not the refiner's, no bare UNet's)."""


def single_file(
    checkpoint: str | Path, config: str | Path = SDXL_CONFIG, dtype: torch.dtype = torch.float32
) -> StableDiffusionXLPipeline:
    """SDXL from one checkpoint file (safetensors) in the original layout; ``config``: a diffusers folder.

    A ``v_pred`` key in the file makes it a v-prediction model. Raises ValueError for files of another kind.
    """
    keys = _keys(Path(checkpoint))
    if missing := [key for key in MARKS if key not in keys]:
        raise ValueError(
            f"{Path(checkpoint).name} is not a whole SDXL checkpoint (no {missing[0]!r}): "
            "load one such as sd_xl_base_1.0.safetensors"
        )
    if "ztsnr" in keys:
        raise ValueError(f"{Path(checkpoint).name} has a zero-terminal-SNR schedule, which is not supported")
    prediction = "v_prediction" if "v_pred" in keys else "epsilon"
    return StableDiffusionXLPipeline.from_single_file(
        str(checkpoint),
        config=str(config),
        local_files_only=True,
        torch_dtype=dtype,
        scheduler=EulerDiscreteScheduler.from_pretrained(config, subfolder="scheduler", prediction_type=prediction),
        add_watermarker=False,
        **tokenizers(),
    )


def pocket_sdxl(dtype: torch.dtype = torch.float32) -> StableDiffusionXLPipeline:
    """The pocket model. diffusers tells single-file text encoders apart by width; its two have the same one."""
    config = {"config": str(POCKET_CONFIG), "torch_dtype": dtype, "local_files_only": True}
    state = expand_vocabulary(load_file(pocket.CHECKPOINT))
    return StableDiffusionXLPipeline(
        unet=UNet2DConditionModel.from_single_file(state, subfolder="unet", **config),
        vae=AutoencoderKL.from_single_file(state, subfolder="vae", **config),
        text_encoder=create_diffusers_clip_model_from_ldm(
            CLIPTextModel, _under(state, TEXT_L), subfolder="text_encoder", **config
        ),
        text_encoder_2=create_diffusers_clip_model_from_ldm(
            CLIPTextModelWithProjection, _under(state, TEXT_G), subfolder="text_encoder_2", **config
        ),
        scheduler=EulerDiscreteScheduler.from_pretrained(POCKET_CONFIG, subfolder="scheduler"),
        add_watermarker=False,
        **tokenizers(),
    )


def tokenizers() -> dict[str, CLIPTokenizer]:
    """Both of SDXL's, from one vocabulary on disk: they differ in the token that pads a prompt."""
    return {
        name: CLIPTokenizer.from_pretrained(str(SDXL_CONFIG / "tokenizer"), pad_token=pad, local_files_only=True)
        for name, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!"))
    }


def quiet() -> None:
    """No remarks and no progress bars of the libraries, in this process."""
    for logging in (diffusers_logging, transformers_logging):
        logging.set_verbosity_error()
        logging.disable_progress_bar()


def _keys(checkpoint: Path) -> set[str]:
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no file {checkpoint}")
    try:
        with safe_open(str(checkpoint), "pt") as file:
            return set(file.keys())
    except SafetensorError as error:
        raise ValueError(f"{checkpoint.name} cannot be read as safetensors: {error}") from error


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key.startswith(prefix)}
