"""InstantID's ControlNet in the diffusers host, and the picture of five points that it sees."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from instantid import network, points, results
from kinds import GOLDEN, MADE, file
from safetensors.torch import load_file, save_file

from revpers_core.adapters import weights
from revpers_core.faces.five_points import COLOURS, five_points
from revpers_core.faces.geometry import framing
from revpers_core.hosts.diffusers_control import Control, load_controlnet


def test_five_points_are_where_and_in_the_colours_that_the_net_was_trained_on():
    (picture,) = (five_points(None, 1024) * 255).round().long()
    for (x, y), colour in zip(framing(1024).long().tolist(), COLOURS, strict=True):
        assert tuple(picture[:, y, x].tolist()) == colour
        assert tuple(picture[:, y, x + 9].tolist()) == colour and tuple(picture[:, y, x + 14].tolist()) != colour
    (eye, nose) = framing(1024)[[0, 2]]
    half = ((eye + nose) / 2).long().tolist()
    assert tuple(picture[:, half[1], half[0]].tolist()) == (153, 0, 0)  # a limb, dimmed to .6
    assert picture[:, :100].max() == 0
    turned = five_points(points(), 256)
    assert turned.shape == (1, 3, 256, 256) and turned[0, 0, int(0.40 * 256), int(0.30 * 256) - 1] == 1
    assert (five_points(None, 128, 2)[0] == five_points(None, 128)[0]).all()


def test_the_net_changes_both_branches_and_reads_the_identity():
    result, golden = results(), load_file(MADE)["instantid"]
    assert (result["without"] - golden).abs().max() < 1e-5 * golden.abs().max()
    assert ((result["with"] - result["without"]).abs().amax((1, 2, 3)) > 1e-2).all()


@torch.no_grad()
def test_each_row_has_its_own_branchs_tokens():
    unet = UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet")
    control = Control(network(unet), five_points(points(), 128))
    draw = torch.Generator().manual_seed(2)
    fed, tokens = torch.randn(1, 4, 16, 16, generator=draw), [torch.randn(1, 16, 64, generator=draw) for _ in range(2)]
    added = {"text_embeds": torch.zeros(1, 32), "time_ids": torch.zeros(1, 6)}
    both = {name: part.repeat(2, 1) for name, part in added.items()}
    times = torch.tensor([200])
    together = control.residuals(fed.repeat(2, 1, 1, 1), times.repeat(2), tokens, 1, both)
    for i, one in enumerate(tokens):
        alone = control.residuals(fed, times, [one], 1, added)["mid_block_additional_residual"]
        assert (together["mid_block_additional_residual"][i] - alone[0]).abs().max() < 1e-4 * alone.abs().max()


def test_a_folder_a_file_and_what_does_not_fit(tmp_path):
    unet = UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet")
    net = network(unet)
    net.save_pretrained(tmp_path / "ControlNetModel")
    save_file(net.state_dict(), tmp_path / "control.safetensors")
    for name in ("ControlNetModel", "control.safetensors"):
        loaded = load_controlnet(tmp_path / name, unet).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in net.state_dict().items())
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other.safetensors is not a ControlNet for this checkpoint"):
        load_controlnet(tmp_path / "other.safetensors", unet)


def test_a_controlnet_belongs_to_instantid():
    from types import SimpleNamespace

    from revpers_core.hosts.diffusers import ReversePersonalizationPipeline

    faceid = SimpleNamespace(kind=weights.from_state(file("faceid")).kind)
    with pytest.raises(ValueError, match="the ControlNet belongs to InstantID, but this adapter is faceid"):
        ReversePersonalizationPipeline(SimpleNamespace(), faceid, None, controlnet="x")
