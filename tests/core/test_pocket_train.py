"""Training runs, stops anywhere and goes on to the same numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from revpers_core.lab import data, loop, prepared, stages
from revpers_core.lab.loop import Budget, Task, averaged, fit
from revpers_core.lab.text import Vocabulary, caption
from revpers_core.lab.train import train


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    """A state folder with one shard of noise for photographs."""
    folder = tmp_path_factory.mktemp("state")
    (folder / "data").mkdir()
    random = np.random.default_rng(0)
    for name, count in (("faces-00000", 4 * data.PHOTOS), ("places", 8)):
        np.save(folder / f"data/{name}.npy", random.integers(256, size=(count, 3, 128, 128), dtype=np.uint8))
    return folder


def _task(stop_at: int = -1) -> Task:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    calls = iter(range(100))

    def loss(generator: torch.Generator, spent: float) -> dict[str, torch.Tensor]:
        x = torch.randn(16, 4, generator=generator)
        if next(calls) == stop_at:
            raise KeyboardInterrupt
        return {"fit": (net(x) - x.sum(1, keepdim=True)).square().mean()}

    return Task("toy", {"net": net}, loss, rate=0.1)


def test_interrupted_training_resumes_to_the_same_numbers(tmp_path):
    fit(_task(), tmp_path / "whole", Budget(steps=5))
    with pytest.raises(KeyboardInterrupt):
        fit(_task(stop_at=2), tmp_path / "parts", Budget(steps=5))
    assert fit(_task(), tmp_path / "parts", Budget(steps=5)) == 5
    whole, parts = (loop.read_pieces(tmp_path / name / "toy") for name in ("whole", "parts"))
    for kind in ("modules", "ema"):
        for key, value in whole[kind]["net"].items():
            assert torch.equal(value, parts[kind]["net"][key]), (kind, key)


def test_an_interrupted_save_leaves_the_older_state(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "PIECE", 64)
    loop.write_pieces(tmp_path / "a", {"x": torch.arange(100)})
    assert len(list((tmp_path / "a").iterdir())) > 1
    (tmp_path / "a").rename(tmp_path / "a.old")
    (tmp_path / "a.new").mkdir()
    assert torch.equal(loop.read_pieces(tmp_path / "a")["x"], torch.arange(100))
    assert loop.read_pieces(tmp_path / "b") is None


@pytest.mark.parametrize("stage", ["recogniser", "vae", "unet"])
def test_stages_train(state, stage, monkeypatch):
    monkeypatch.setattr(data, "SHARD", 4)
    assert train(stage, state, steps=2) == 2
    weights = next(iter(averaged(state, stage).values()))
    assert all(v.isfinite().all() for v in weights.values())


def test_unknown_stages_are_named(tmp_path):
    with pytest.raises(ValueError, match="stage must be one of"):
        train("unets", tmp_path)


def test_captions_are_what_the_tokenizer_makes_of_prompts():
    words = {"age": "middle-aged", "sex": "man", "skin": "dark skin", "hair": "auburn hair"}
    words |= {"expression": "open mouth", "beard": ""}
    assert caption(words) == "middle-aged man, dark skin, auburn hair, open mouth"
    vocabulary = Vocabulary()
    line = stages.Captions(vocabulary, [words])._line(words, [1.0] * 9)
    assert line == vocabulary.tokenizer(caption(words), add_special_tokens=False).input_ids
    assert stages.Captions(vocabulary, [words])._line(words, [1.0, *[0.5] * 8]) == []


def test_what_is_prepared_is_made_again_once_its_net_is_trained_further(state, monkeypatch):
    monkeypatch.setattr(data, "SHARD", 4)
    photos, device = data.Photos(state / "data"), torch.device("cpu")
    train("recogniser", state, steps=3)
    before = prepared.embeddings(photos, state, device)
    assert torch.equal(prepared.embeddings(photos, state, device), before)
    train("recogniser", state, steps=4)
    assert not torch.equal(prepared.embeddings(photos, state, device), before)
