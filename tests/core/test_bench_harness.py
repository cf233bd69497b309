"""The benchmarks' harness counts and times what it says, with random weights in the GPU runs' own code."""

import json
from pathlib import Path

import backends
import contest
import contestants
import growth
import models
import page
import pytest
import torch
from meter import Meter, cost
from torch import nn

from revpers_core.method.types import Plan

ROOT = Path(__file__).parents[2]
NOWHERE = {"machines": {"a": {"GPU": "none", "load": 1}, "b": {"GPU": "none", "load": 2}}}
SIZE = {"parameters": 2_567_463_684, "slots": 70, "flops_a_row": 6.76e12, "flops_encode": 1e12, "flops_decode": 1e12}


def tiny_configs() -> dict[str, models.Config]:
    """SDXL's configurations with narrow layers, for 64 pixels."""
    configs = models.sdxl_configs()
    configs["unet"] |= {
        "block_out_channels": [32, 32, 64], "attention_head_dim": [2, 2, 4], "cross_attention_dim": 64,
        "sample_size": 8, "transformer_layers_per_block": [1, 1, 2], "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 32 + 6 * 8,
    }  # fmt: skip
    configs["vae"] |= {"block_out_channels": [32] * 4, "layers_per_block": 1}
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    configs["text_encoder"] |= text
    configs["text_encoder_2"] |= text | {"projection_dim": 32}
    return configs


@pytest.fixture(scope="module")
def tiny() -> models.Contest:
    return models.random_contest(tiny_configs(), "cpu", torch.float32)


def test_the_meter_counts_rows_and_tells_inside_from_outside():
    network = nn.Linear(400, 400)
    costs = cost(network, lambda: [network(torch.zeros(5, 400)) for _ in range(3)])
    assert (costs.evaluations, costs.calls) == (15, 3)
    x = torch.randn(700, 700)
    assert cost(network, lambda: [network(torch.zeros(1, 400)), *(x @ x for _ in range(9))]).outside > 0.9
    assert cost(network, lambda: network(torch.zeros(60_000, 400))).outside < 0.5
    with Meter(network):
        pass
    assert not network._forward_hooks and not network._forward_pre_hooks


def test_the_meter_sees_memory_that_is_given_back():
    network = nn.Linear(1, 1)
    assert 180 < cost(network, lambda: (network(torch.ones(1, 1)), torch.ones(50 << 20))).peak < 260
    assert cost(network, lambda: network(torch.ones(1, 1))).peak < 20


def test_flop_of_a_matrix_product():
    assert contest.flops(lambda: torch.zeros(3, 5) @ torch.zeros(5, 7)) == 2 * 3 * 5 * 7


def test_everyone_takes_part_with_the_evaluations_that_the_papers_say(tiny):
    found = contest.table(tiny, Plan(steps=3, guidance=-2.0), fewer_steps=[2], repeats=1)
    assert {name: row["evaluations"] for name, row in found["rows"].items()} == {
        "plain loop": 12,
        "plain loop, LoRA merged": 12,
        "LEDITS++ (diffusers)": 9,
        "ours": 12,
        "ours, one step a call": 12,
        "ours, 2 steps": 8,
        "ours, another guidance": 6,
    }
    assert found["agreement"] < 3e-4
    assert found["rows"]["plain loop"]["ratio"] == 1
    assert all(0 < row["outside"] < 1 and row["floors"] > 1 for row in found["rows"].values())


def test_the_loop_differs_where_anything_differs(tiny):
    """So that agreement means something."""
    plan = Plan(steps=3, guidance=-2.0)
    shipped, clean = (contestants.plain_loop(tiny, tiny.loop, plan, flag)[1] for flag in (True, False))
    assert (shipped - clean).abs().max() > 1e-3 * clean.abs().max()


def test_faces_in_a_photo_cost_one_after_the_other(tiny):
    rows = growth.faces(tiny, Plan(steps=2, guidance=-0.5), (1, 2), 1)
    assert [[row["evaluations"] for row in rows[kind]] for kind in ("photo", "crops")] == [[8, 16], [8, 16]]
    assert [row["calls"] for row in rows["crops"]] == [3, 3]


def test_backends_give_the_same_prediction(tiny):
    rows = {row["variant"]: row for row in backends.table(tiny, 2, 1, compiling=False)}
    assert rows["attention: math"]["2 rows"]["difference"] < 1e-4
    assert "failed" in rows["attention: cudnn"] or torch.cuda.is_available()


def test_sdxl_has_its_real_size():
    unet = models.random_sdxl(models.sdxl_configs(), "meta", torch.bfloat16).unet
    assert sum(one.numel() for one in unet.parameters()) == SIZE["parameters"]
    assert len(unet.attn_processors) == 2 * SIZE["slots"]


def test_the_page_holds_every_table_and_says_what_was_not_measured(tiny):
    row = {"at": 1, "outside": 0.1, "cpu": 1.0, "peak": 3.0, "evaluations": 8}
    names = ("faces in a photo", "crops in a batch", "steps", "side")
    grown = {"clock": "cpu", **{name: [row, {**row, "at": 2, "cpu": 3.0}] for name in names}}
    text = page.written((ROOT / "docs" / "benchmarks.md").read_text(), {**NOWHERE, "sdxl size": SIZE, "growth": grown})
    gpu = text.split("<!-- measured: sdxl bfloat16 -->")[1].split("<!-- end -->")[0]
    assert gpu.count("not measured") == 7 * len(page.CONTESTANTS)
    assert "| load: b | 2 |" in text and "| GPU | none |" in text
    assert "2.567 billion" in text and "| faces in a photo | face | 1 | 2 | 1 | 1.5 |" in text
    with pytest.raises(ValueError, match="must have one place for 'machine'"):
        page.written("nothing", {**NOWHERE, "sdxl size": SIZE, "growth": grown})


def test_the_page_is_made_of_the_numbers_beside_it():
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert page.written(text, json.loads((ROOT / "docs" / "benchmarks.json").read_text())) == text
