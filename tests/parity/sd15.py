"""SD 1.5 in small, whole runs as the diffusers host makes them; the ComfyUI host is tested against them.

``python tests/parity/sd15.py`` writes sd15.safetensors anew: the UNet in the original layout and the results.
"""

from pathlib import Path

import torch
from adapter_files import adapter
from kinds import identity_fields, random
from sd15_files import SMALL, WIDTHS, original_unet, randomised
from torch import Tensor

HERE = Path(__file__).resolve().parent
MADE = HERE / "sd15.safetensors"
STEPS, SKIP, GUIDANCE = 6, 0.5, -3.0
PREDICTIONS = ("epsilon", "v_prediction")


def words() -> tuple[Tensor, Tensor]:
    """(encoded "", words), (1, 77, 64) each."""
    return random(1, 77, 64, seed=1), random(1, 77, 64, seed=2)


def latent() -> Tensor:
    """(1, 4, 16, 16) in the model's scale."""
    return random(1, 4, 16, 16, seed=3)


def file() -> dict[str, dict[str, Tensor]]:
    return adapter("faceid", WIDTHS)


def results() -> dict[str, Tensor]:
    """The UNet, and by prediction: reverse with words, nullface without."""
    from diffusers import UNet2DConditionModel

    from revpers_core.adapters import weights
    from revpers_core.faces.masks import latent_mask, without_parts
    from revpers_core.hosts.diffusers_files import SD15_CONFIG
    from revpers_core.hosts.diffusers_unet import Adapted, Conditions, unet_branches
    from revpers_core.method.guidance import network_guidance, recorded_guidance
    from revpers_core.method.schedule import sdxl_sigmas, sigmas, timesteps
    from revpers_core.method.steering import blended_late, steering
    from revpers_core.method.trajectory import SeededNoise, invert, sample
    from revpers_core.method.types import Identity, Method

    torch.manual_seed(0)
    config = {**UNet2DConditionModel.load_config(SD15_CONFIG, subfolder="unet"), **SMALL}
    unet = randomised(UNet2DConditionModel.from_config(config), 3).half().float()
    state = {key: value.half() for key, value in original_unet(unet.state_dict()).items()}
    table, x0 = sdxl_sigmas(), latent()
    levels = sigmas(timesteps(STEPS, SKIP), table.__getitem__)
    adapted, person = Adapted.inject(unet, weights.from_state(file())), Identity(**identity_fields())
    for prediction in PREDICTIONS:

        def branches(identity: Identity, uncond: Tensor, v: bool = prediction == "v_prediction"):
            tokens = adapted.tokens(person.null), adapted.tokens(identity)
            return unet_branches(unet, Conditions(torch.cat([uncond, words()[0]]), None, None, tokens), table, v)

        path = invert(branches(person.null, words()[0]), x0, levels, SeededNoise(STEPS, x0.shape, 5))
        for method, said in ((Method.REVERSE, words()[1]), (Method.NULLFACE, words()[0])):
            away, mask = steering(method, person, GUIDANCE), None
            if method is Method.NULLFACE:
                keep = latent_mask(without_parts(128), x0.shape)
                mask = blended_late(levels, lambda sigma, keep=keep: keep)
            predict = network_guidance(branches(away.identity, said), away.guidance)
            result = sample(predict, path, recorded_guidance(away.guidance), mask=mask)
            state[f"{prediction}.{method.value}"] = result.float()
    return {key: value.contiguous() for key, value in state.items()}


if __name__ == "__main__":
    import sys

    sys.path.append(str(HERE.parents[1]))
    from safetensors.torch import save_file

    save_file(results(), MADE)
