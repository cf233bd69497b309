"""SDXL's parts from local files, by configurations of our own: nothing is ever looked up or downloaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from diffusers.utils import logging as diffusers_logging
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from .. import pocket
from ..pocket.vocabulary import expand_vocabulary
from .checkpoint_files import FIRST_STAGE, TEXT_G, TEXT_L, UNET, family_of, keys_of, not_plain

SDXL_CONFIG = Path(__file__).parent / "sdxl"
"""Configuration and tokenizer of SDXL base 1.0."""
POCKET_CONFIG = Path(pocket.__file__).parent / "sdxl"
SD15_CONFIG = Path(__file__).parent / "sd15"
"""Configuration of SD 1.5; its tokenizer is SDXL's first."""
PREDICTIONS = ("epsilon", "v_prediction")
AT_A_TIME = 64
"""Tensors that are read before the file is opened anew."""


def single_file(
    checkpoint: str | Path,
    config: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    prediction: str = "auto",
) -> StableDiffusionXLPipeline | StableDiffusionPipeline:
    """SDXL or SD 1.5 from one checkpoint file (safetensors) in the original layout; ``config``: a diffusers folder, the
    family's own unless given.

    A ``v_pred`` key in the file makes it a v-prediction model unless ``prediction`` says otherwise, a ``ztsnr`` key one
    with zero terminal SNR. Raises ValueError for files of another kind.
    """
    checkpoint = Path(checkpoint)
    keys = keys_of(checkpoint)
    family = family_of(checkpoint, keys)
    if prediction == "auto":
        prediction = "v_prediction" if "v_pred" in keys else "epsilon"
    elif prediction not in PREDICTIONS:
        raise ValueError(f"prediction must be auto, {' or '.join(PREDICTIONS)}, got {prediction!r}")
    config = config or {"SDXL": SDXL_CONFIG, "SD 1.5": SD15_CONFIG}[family]
    parts = _networks(checkpoint, family, {"config": str(config), "local_files_only": True}, dtype)
    parts["scheduler"] = EulerDiscreteScheduler.from_pretrained(
        config, subfolder="scheduler", prediction_type=prediction, rescale_betas_zero_snr="ztsnr" in keys
    )
    if family == "SDXL":
        return StableDiffusionXLPipeline(add_watermarker=False, **tokenizers(), **parts)
    return StableDiffusionPipeline(
        tokenizer=tokenizers()["tokenizer"], safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, **parts,
    )  # fmt: skip


def _networks(checkpoint: Path, family: str, config: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The checkpoint's networks, one after another, each around the tensors that are read for it: made without weights
    of its own (on the meta device), so that nothing lies in memory twice. The VAE is float32: SDXL's overflows in
    float16."""
    texts = {"SD 1.5": {"text_encoder": (CLIPTextModel, "cond_stage_model.")}}.get(
        family, {"text_encoder": (CLIPTextModel, TEXT_L), "text_encoder_2": (CLIPTextModelWithProjection, TEXT_G)}
    )
    kinds = {"unet": (UNet2DConditionModel, UNET, dtype), "vae": (AutoencoderKL, FIRST_STAGE, torch.float32)}
    networks: dict[str, Any] = {
        name: kind.from_single_file(_read(checkpoint, prefix, kept), subfolder=name, torch_dtype=kept, **config)
        for name, (kind, prefix, kept) in kinds.items()
    }
    for name, (kind, prefix) in texts.items():
        state = _read(checkpoint, prefix, dtype)
        networks[name] = create_diffusers_clip_model_from_ldm(kind, state, subfolder=name, torch_dtype=dtype, **config)
    return networks


def _read(checkpoint: Path, prefix: str, dtype: torch.dtype) -> dict[str, Any]:
    """The tensors under a prefix in that precision: as the file holds them they are views of it, which cost no memory
    of their own. What is cast is read some tensors at a time, since the part of a file that has been read counts as the
    process's memory for as long as it is open."""
    with safe_open(str(checkpoint), "pt") as file:
        keys = sorted(key for key in set(file.keys()) if key.startswith(prefix))
    state: dict[str, Any] = {}
    for start in range(0, len(keys), AT_A_TIME):
        with safe_open(str(checkpoint), "pt") as file:
            for key in keys[start : start + AT_A_TIME]:
                tensor = file.get_tensor(key)
                state[key] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return state


def check_pipeline(pipeline: Any) -> None:
    """Raise ValueError unless a diffusers folder holds SDXL or SD 1.5, neither of them for inpainting."""
    kind = type(pipeline)
    if kind not in (StableDiffusionXLPipeline, StableDiffusionPipeline):
        raise ValueError(f"model: expected SDXL or SD 1.5, got a {kind.__name__}: load one such as SDXL base 1.0")
    if (channels := pipeline.unet.config.in_channels) != 4:
        raise ValueError(f"model: it {not_plain(channels)}")


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


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key.startswith(prefix)}
