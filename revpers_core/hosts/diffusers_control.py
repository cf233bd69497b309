"""InstantID's ControlNet in diffusers: it sees a face's five points, and reads the identity instead of words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import ControlNetModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..adapters.attention import rows
from ..adapters.kinds import CONTROL_STRENGTH


@dataclass(frozen=True)
class Control:
    """A ControlNet with the picture (B or 1, 3, H, W) that it sees, and its strength."""

    network: Any
    hint: Tensor
    strength: float = CONTROL_STRENGTH

    def residuals(
        self, fed: Tensor, times: Tensor, tokens: Sequence[Tensor], batch: int, added: dict[str, Tensor]
    ) -> dict[str, Any]:
        """What it adds to the UNet, as that takes it. tokens: by branch, (B or 1, T, C), each for ``batch`` rows."""
        like = next(self.network.parameters())
        hint = self.hint.to(like).repeat(len(fed) // len(self.hint), 1, 1, 1)
        context = rows([branch.to(like) for branch in tokens], batch)
        down, middle = self.network(
            fed.to(like),
            times,
            encoder_hidden_states=context,
            controlnet_cond=hint,
            conditioning_scale=self.strength,
            added_cond_kwargs=added,
            return_dict=False,
        )
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def load_controlnet(path: str | Path, unet: Any) -> Any:
    """InstantID's ``ControlNetModel``, a folder or its file, for this UNet. Raises ValueError where it does not fit."""
    path = Path(path)
    file = path / "diffusion_pytorch_model.safetensors" if path.is_dir() else path
    network: Any = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    try:
        network.load_state_dict(load_file(file))
    except (RuntimeError, SafetensorError, OSError) as error:
        raise ValueError(
            f"{path.name} is not a ControlNet for this checkpoint: load ControlNetModel of InstantX/InstantID"
        ) from error
    return network.to(unet.device, unet.dtype).eval().requires_grad_(False)
