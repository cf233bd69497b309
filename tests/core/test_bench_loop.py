"""The benchmarks' yardsticks can be trusted: the plain loop is the paper's and agrees with ours."""

from pathlib import Path

import pytest
import reference
import torch
from diffusers import UNet2DConditionModel
from run import Case, read_cases, relative

from revpers_core.adapters import weights as faceid
from revpers_core.hosts.diffusers_unet import Adapted, Conditions, unet_branches
from revpers_core.method.guidance import network_guidance, recorded_guidance
from revpers_core.method.schedule import sdxl_sigmas, sigmas
from revpers_core.method.schedule import timesteps as our_timesteps
from revpers_core.method.trajectory import invert, sample
from revpers_core.method.types import Identity

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
LEVELS = sdxl_sigmas()


def cases(*names: str) -> list[Case]:
    return [one for one in read_cases(GOLDEN, GOLDEN / "cases", "f32") if one.settings["name"] in names]


def tiny_unet():
    return UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet").requires_grad_(False)


def plainly(case: Case, merge_lora: bool = False, as_shipped: bool = True) -> torch.Tensor:
    """The plain loop's final latents of a golden case."""
    weights = faceid.load(GOLDEN / "faceid_adapter.safetensors")
    adapter = {"image_proj": weights.image_proj, "ip_adapter": weights.ip_adapter}
    unet = reference.with_adapter(tiny_unet(), adapter, merge_lora, case.settings["ip"])
    nobody, somebody = case.identity("inv")[1:], case.identity("gen")[1:]
    inverting, sampling = (
        reference.network(
            unet, reference.Words(*case.words(phase), case.time_ids(phase)), identity, case.settings["cfg"]
        )
        for phase, identity in (("inv", nobody), ("gen", somebody))
    )
    settings = reference.Settings(case.settings["N"], case.settings["skip"], case.settings["cfg"], as_shipped)
    noise = list(case.tensors["noise"].flip(0)[:, None])
    return reference.run(inverting, sampling, case.golden("x0").double(), noise, settings)


def ours(case: Case) -> torch.Tensor:
    """The same by the product, without the oddities of the paper's code."""
    adapted = Adapted.inject(tiny_unet(), faceid.load(GOLDEN / "faceid_adapter.safetensors"), case.settings["ip"])

    def branches(phase: str):
        tokens = tuple(adapted.tokens(Identity(row[None])) for row in case.identity(phase))
        conditions = Conditions(*case.words(phase), case.time_ids(phase), tokens)
        return unet_branches(adapted.unet, conditions, LEVELS)

    guidance = case.settings["cfg"]
    levels = sigmas(our_timesteps(case.settings["N"], case.settings["skip"]), LEVELS.__getitem__)
    path = invert(branches("inv"), case.golden("x0"), levels, list(case.tensors["noise"].flip(0)[:, None]))
    return sample(network_guidance(branches("gen"), guidance), path, recorded_guidance(guidance))


@pytest.mark.parametrize("merge_lora", [False, True])
def test_the_plain_loop_is_the_papers(merge_lora):
    for case in cases("n10_s05_gm5_neg", "n20_s07_gm10_ip05"):
        assert relative(plainly(case, merge_lora), case.golden("final")) < 3e-4


def test_the_plain_loop_agrees_with_ours():
    for case in cases("n10_s05_gm5_neg", "n20_s07_gm10"):
        assert relative(ours(case), plainly(case, as_shipped=False)) < 3e-4
        assert relative(ours(case), plainly(case)) > 1e-3  # the oddities would be seen
