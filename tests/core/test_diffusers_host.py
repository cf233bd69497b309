"""The adapter in a diffusers UNet: there while injected, gone without a trace afterwards."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from revpers_core.adapters import weights as faceid
from revpers_core.hosts.diffusers_unet import Adapted, Conditions, timestep_of, unet_branches, unet_slots
from revpers_core.method.identity import null_identity
from revpers_core.method.schedule import sdxl_sigmas
from revpers_core.method.types import Identity

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
LEVELS = sdxl_sigmas()


@pytest.fixture
def unet():
    return UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet").requires_grad_(False)


@pytest.fixture(scope="module")
def adapter():
    return faceid.load(GOLDEN / "faceid_adapter.safetensors")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seen(unet):
    added = {"text_embeds": random(2, 32, seed=2), "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)}
    return unet(random(2, 4, 8, 8), 200, random(2, 77, 64, seed=1), added_cond_kwargs=added).sample


def conditions(adapted, *identities):
    ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
    tokens = tuple(adapted.tokens(identity) for identity in identities)
    return Conditions(random(2, 77, 64, seed=1), random(2, 32, seed=2), ids, tokens)


def test_ejecting_leaves_no_trace(unet, adapter):
    before, processors = seen(unet), dict(unet.attn_processors)
    state = {key: value.clone() for key, value in unet.state_dict().items()}
    adapted = Adapted.inject(unet, adapter)
    assert (seen(unet) - before).abs().max() > 1e-3  # its LoRA acts even without an identity
    assert adapted.eject() is unet
    assert torch.equal(seen(unet), before)
    assert unet.attn_processors == processors
    assert unet.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in unet.state_dict().items())


def test_strength_zero_without_lora_changes_only_rounding(unet, adapter):
    before = seen(unet)
    adapted = Adapted.inject(unet, adapter, scale=0.0, lora=False)
    assert (seen(unet) - before).abs().max() < 1e-5 * before.abs().max()
    adapted.eject()


def test_branches_see_their_own_identity_and_text(unet, adapter):
    adapted = Adapted.inject(unet, adapter)
    somebody = Identity(torch.nn.functional.normalize(random(1, 512, seed=5)))
    x = random(1, 4, 8, 8).double()
    null = unet_branches(unet, conditions(adapted, null_identity(1), null_identity(1)), LEVELS)(x, LEVELS[200])
    other = unet_branches(unet, conditions(adapted, null_identity(1), somebody), LEVELS)(x, LEVELS[200])
    assert torch.equal(null[0], other[0])
    assert (null[1] - other[1]).abs().max() > 1e-3
    assert (null[0] - null[1]).abs().max() > 1e-3


def test_each_image_meets_its_own_identity(unet, adapter):
    adapted = Adapted.inject(unet, adapter)
    two = Identity(torch.nn.functional.normalize(random(2, 512, seed=5)))
    x = random(2, 4, 8, 8).double()
    both = unet_branches(unet, conditions(adapted, null_identity(1), two), LEVELS)(x, LEVELS[200])[1]
    for i in range(2):
        one = conditions(adapted, null_identity(1), Identity(two.embedding[i : i + 1]))
        alone = unet_branches(unet, one, LEVELS)(x[i : i + 1], LEVELS[200])[1]
        assert (both[i] - alone[0]).abs().max() < 1e-4
    assert (both[0] - both[1]).abs().max() > 0.1


def test_adapters_of_other_models_are_refused(unet, adapter):
    before = dict(unet.attn_processors)
    short = {k: v for k, v in adapter.ip_adapter.items() if int(k.split(".")[0]) < 20}
    with pytest.raises(ValueError, match=r"10 attention blocks of width 64.*11 attention blocks"):
        Adapted.inject(unet, faceid.AdapterWeights(adapter.image_proj, short))
    assert unet.attn_processors == before


def test_slots_name_attentions_that_exist(unet):
    for slot in unet_slots(unet):
        assert unet.get_submodule(slot.diffusers).attn2.to_k.in_features == 64


@pytest.mark.parametrize("t", [0, 1, 500, 998, 999])
def test_a_level_is_its_timestep(t):
    assert timestep_of(LEVELS[t] * (1 + 1e-6), LEVELS) == timestep_of(LEVELS[t] * (1 - 1e-6), LEVELS) == t
