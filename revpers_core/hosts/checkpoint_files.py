"""What a checkpoint file is, by its header alone: no weight is read."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

UNET, FIRST_STAGE = "model.diffusion_model.", "first_stage_model."
TEXT_L, TEXT_G = "conditioner.embedders.0.", "conditioner.embedders.1."
LABEL = "model.diffusion_model.label_emb.0.0.weight"
POSITIONS = "transformer.text_model.embeddings.position_embedding.weight"
MARKS = {
    "SDXL": (LABEL, TEXT_L + POSITIONS, f"{TEXT_G}model.positional_embedding"),
    "SD 1.5": ("cond_stage_model." + POSITIONS, "model.diffusion_model.input_blocks.0.0.weight"),
}
"""Keys that together only such whole single files have."""
OTHERS = {
    "SDXL's refiner": (LABEL, f"{TEXT_L}model.positional_embedding"),
    "SD 2": ("cond_stage_model.model.positional_embedding",),
}
"""Those of files that people take for them."""
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
CROSS = ".attn2.to_k.weight"
"""How keys end whose second side is the width of words and identity tokens."""


def keys_of(checkpoint: Path) -> set[str]:
    """Names of a safetensors file's tensors. Raises FileNotFoundError, ValueError for a damaged file."""
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no file {checkpoint}: check the path")
    try:
        with safe_open(str(checkpoint), "pt") as file:
            return set(file.keys())
    except SafetensorError as error:
        raise ValueError(
            f"{checkpoint.name} cannot be read as safetensors ({error}): download it again, or take a .safetensors file"
        ) from error


def family_of(checkpoint: Path, keys: set[str]) -> str:
    """SDXL or SD 1.5, by the file's keys. Raises ValueError for anything else, inpainting models among it."""
    found = next((name for name, marks in MARKS.items() if set(marks) <= keys), None)
    if found is None:
        other = next((name for name, marks in OTHERS.items() if set(marks) <= keys), None)
        missing = next(key for key in MARKS["SDXL"] if key not in keys)
        what = f"is {other}" if other else f"is not a whole SDXL or SD 1.5 checkpoint (no {missing!r})"
        raise ValueError(f"{checkpoint.name} {what}: load one such as sd_xl_base_1.0.safetensors")
    with safe_open(str(checkpoint), "pt") as file:
        channels = file.get_slice(CONV_IN).get_shape()[1]
    if channels != 4:
        raise ValueError(f"{checkpoint.name} {not_plain(channels)}")
    return found


def not_plain(channels: int) -> str:
    """What a UNet that takes other than four channels is, in words."""
    kind = {8: "an InstructPix2Pix", 9: "an inpainting"}.get(channels, "another")
    return f"is {kind} checkpoint (its UNet takes {channels} channels, not 4): load the model it was made from"


def context_of(checkpoint: Path, keys: set[str]) -> int:
    """Width of the UNet's context (SDXL 2048, SD 1.5 768). Raises ValueError where it has no cross-attention."""
    key = next((key for key in sorted(keys) if key.startswith(UNET) and key.endswith(CROSS)), None)
    if key is None:
        raise ValueError(f"{checkpoint.name} has no cross-attention: load one such as sd_xl_base_1.0.safetensors")
    with safe_open(str(checkpoint), "pt") as file:
        return file.get_slice(key).get_shape()[1]
