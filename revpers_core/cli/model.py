"""The model that a command works with: the user's files, or the pocket model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..adapters.lora import Lora

if TYPE_CHECKING:
    from ..hosts.diffusers import ReversePersonalizationPipeline


def pipeline(
    files: Sequence[Path | None], dtype: torch.dtype, device: str, loras: Sequence[Lora] = (), **adapter_files: Any
) -> "ReversePersonalizationPipeline":
    """From (checkpoint, adapter, recogniser), or the pocket model where they are None. loras: on the UNet.
    ``adapter_files``: as in ``ReversePersonalizationPipeline.from_single_file``."""
    try:
        from ..hosts.diffusers import ReversePersonalizationPipeline as Pipeline
        from ..hosts.diffusers_files import quiet
    except ImportError as error:
        raise ImportError(f"diffusers is needed ({error}): pip install diffusers transformers accelerate") from error
    quiet()
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {device!r} cannot be used here: {error}") from error
    checkpoint, adapter, face_model = files
    if checkpoint is None or adapter is None or face_model is None:
        model = Pipeline.from_pocket(dtype=dtype, device=device)
    else:
        model = Pipeline.from_single_file(checkpoint, adapter, face_model, dtype=dtype, device=device, **adapter_files)
    model.add_loras(*loras)
    return model
