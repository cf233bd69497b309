"""Who comes instead: an identity in the unconditional branch of the sampling phase, in the diffusers host."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from revpers_core.adapters import weights as faceid
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.hosts.diffusers_unet import Adapted, Conditions, unet_branches
from revpers_core.media import gallery
from revpers_core.method.anonymize import invert_image, sample_image
from revpers_core.method.guidance import network_guidance
from revpers_core.method.identity import identity_of, null_identity, scaled
from revpers_core.method.schedule import sdxl_sigmas
from revpers_core.method.trajectory import Need
from revpers_core.method.types import Identity, Plan

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
PLAN = Plan(steps=3, skip=0.7, guidance=-4.0)


@pytest.fixture(scope="module")
def pocket() -> ReversePersonalizationPipeline:
    return ReversePersonalizationPipeline.from_pocket()


@pytest.fixture(scope="module")
def path(pocket):
    return invert_image(gallery.aligned_face(3, 0)[None], pocket, PLAN)


def somebody(seed: int) -> Identity:
    return identity_of(torch.randn(1, 512, generator=torch.Generator().manual_seed(seed)))


def test_it_stands_in_the_unconditional_branch_alone(pocket, path):
    """cond under the person as ever; uncond is what cond would be under the stand-in and the other words."""
    identity, instead = somebody(0), somebody(1)
    plain, replaced = pocket.branches(identity, path.x0), pocket.branches(identity, path.x0, instead=instead)
    x, sigma = path.state(0), path.sigmas[0]
    assert torch.equal(plain(x, sigma)[1], replaced(x, sigma)[1])
    assert (plain(x, sigma)[0] - replaced(x, sigma)[0]).abs().max() > 1e-3
    wordless = pocket.branches(instead, path.x0, wordless=True)
    torch.testing.assert_close(replaced(x, sigma, Need.UNCOND)[0], wordless(x, sigma, Need.COND)[1], atol=1e-5, rtol=0)


def test_nobody_and_a_stand_in_of_length_zero_are_the_papers_method(pocket, path):
    paper = sample_image(path, somebody(0), pocket, PLAN)
    assert torch.equal(paper, sample_image(path, somebody(0), pocket, PLAN, instead=scaled(somebody(1), 0.0)))
    assert (paper - sample_image(path, somebody(0), pocket, PLAN, instead=somebody(1))).abs().max() > 0.02


def test_the_inversion_knows_nothing_of_it_and_a_null_replay_stays_exact(pocket, path):
    """The very trajectory serves after a stand-in was sampled along it."""
    sample_image(path, somebody(0), pocket, PLAN, instead=somebody(1))
    same = sample_image(path, null_identity(1), pocket, PLAN)
    assert (same - pocket.decode(path.x0)).abs().max() < 1e-5


def test_one_for_all_or_one_an_image(pocket):
    photos = torch.stack([gallery.aligned_face(3, 0), gallery.aligned_face(8, 0)])
    path, identity = invert_image(photos, pocket, PLAN), pocket.embed(photos)
    each = Identity(torch.cat([somebody(1).embedding, somebody(2).embedding]))
    both = sample_image(path, identity, pocket, PLAN, instead=each)
    second = sample_image(path, identity, pocket, PLAN, instead=somebody(2))
    torch.testing.assert_close(both[1], second[1], atol=1e-4, rtol=0)
    assert (both[0] - second[0]).abs().max() > 0.02


def test_length_is_a_dial_from_nobody_on():
    assert torch.equal(scaled(somebody(1), 1.0).embedding, somebody(1).embedding)
    assert float(scaled(somebody(1), 0.25).embedding.norm()) == pytest.approx(0.25)
    for length in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="must be from 0 to 1"):
            scaled(somebody(1), length)


def test_guidance_weighs_it_one_minus_g():
    """On the golden net: the prediction is u_P + g (c_e - u_P), with P in u."""
    unet = UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet").requires_grad_(False)
    adapted = Adapted.inject(unet, faceid.load(GOLDEN / "faceid_adapter.safetensors"))
    draw = torch.Generator().manual_seed(0)
    words = torch.randn(2, 77, 64, generator=draw), torch.randn(2, 32, generator=draw)
    ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
    identity, instead = adapted.tokens(somebody(0)), adapted.tokens(somebody(1))
    levels = sdxl_sigmas()
    x = torch.randn(1, 4, 8, 8, generator=draw, dtype=torch.float64)
    both = unet_branches(unet, Conditions(*words, ids, (instead, identity)), levels)
    uncond, cond = both(x, levels[200])
    guided = network_guidance(both, -4.0)(x, levels[200])
    torch.testing.assert_close(guided, 5 * uncond - 4 * cond, atol=1e-4, rtol=1e-4)
    alone = unet_branches(unet, Conditions(*words, ids, (instead, instead)), levels)(x, levels[200])
    torch.testing.assert_close(uncond, alone[0], atol=1e-5, rtol=0)


def test_a_re_roll_along_one_trajectory_only_samples_and_equals_a_fresh_run(pocket):
    """What `anonymize` hands back is enough to have somebody else come, at half the evaluations."""
    photo = gallery.aligned_face(3, 0)[None]
    start = pocket.unet_evaluations
    first = pocket.anonymize(photo, PLAN, instead=somebody(1))
    whole = pocket.unet_evaluations - start
    again = pocket.sample(first.trajectory, first.source, PLAN, instead=somebody(2))
    assert whole == 4 * PLAN.steps and pocket.unet_evaluations - start - whole == 2 * PLAN.steps
    assert torch.equal(again, pocket.anonymize(photo, PLAN, instead=somebody(2)).image)
    assert (again - first.image).abs().max() > 0.02
