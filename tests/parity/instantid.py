"""InstantID with its ControlNet in a small SDXL, as the diffusers host makes it; the ComfyUI host is tested against it.

``python tests/parity/instantid.py`` writes instantid.safetensors anew: the ControlNet's weights and both predictions.
"""

from typing import Any

import torch
from kinds import GOLDEN, HERE, SIDE, TIMESTEP, file, identity_fields, latent, words
from sd15_files import randomised
from torch import Tensor

MADE = HERE / "instantid.safetensors"
STRENGTH = 0.8


def network(unet: Any) -> Any:
    """A ControlNet for the UNet, its zero layers moved so that it says something."""
    from diffusers import ControlNetModel

    torch.manual_seed(1)
    result = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    return randomised(result, 8).half().float()


def points() -> Tensor:
    """(1, 5, 2): a turned face, in shares of the crop."""
    return torch.tensor([[[0.30, 0.40], [0.55, 0.42], [0.38, 0.60], [0.32, 0.75], [0.52, 0.76]]])


def results() -> dict[str, Tensor]:
    from diffusers import UNet2DConditionModel

    from revpers_core.adapters import weights
    from revpers_core.faces.five_points import five_points
    from revpers_core.hosts.diffusers_control import Control
    from revpers_core.hosts.diffusers_unet import Adapted, Conditions, unet_branches
    from revpers_core.method.schedule import sdxl_sigmas
    from revpers_core.method.types import Identity

    unet = UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet")
    control = Control(network(unet), five_points(points(), SIDE * 8), STRENGTH)
    identity, levels = Identity(**identity_fields()), sdxl_sigmas()
    adapted = Adapted.inject(unet, weights.from_state(file("instantid"), "instantid"))
    ids = torch.tensor([[SIDE * 8.0, SIDE * 8, 0, 0, SIDE * 8, SIDE * 8]] * 2)
    conditions = Conditions(*words(), ids, (adapted.tokens(identity.null), adapted.tokens(identity)))
    result = {
        name: torch.cat(unet_branches(unet, conditions, levels, control=one)(latent(), levels[TIMESTEP])).float()
        for name, one in {"with": control, "without": None}.items()
    }
    return {**{f"net.{key}": value.half() for key, value in control.network.state_dict().items()}, **result}


if __name__ == "__main__":
    import sys

    sys.path.append(str(HERE.parents[1]))
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in results().items()}, MADE)
