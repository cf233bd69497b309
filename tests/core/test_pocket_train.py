"""Training runs, stops anywhere and goes on to the same numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from revpers_core.cli import main
from revpers_core.faces.judge_spec import load_judge
from revpers_core.lab import data, feature_cache, loop, stages
from revpers_core.lab.export import export
from revpers_core.lab.loop import Budget, Task, averaged, fit, reached
from revpers_core.lab.nets import load_denoiser
from revpers_core.lab.text import Vocabulary, caption
from revpers_core.lab.train import train
from revpers_core.lab.world.factors import PHOTOS
from revpers_core.lab.world.shot import describe, training_shot


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    """A state folder with noise for photographs, in two files of two people, and for places."""
    folder = tmp_path_factory.mktemp("state")
    for name in ("people", "places"):
        (folder / name).mkdir()
    random = np.random.default_rng(0)
    for number, people in enumerate(((0, 1), (9, 10))):
        seeds = [training_shot(i, k) for i in people for k in range(PHOTOS)]
        np.savez(
            folder / f"people/people-{number:05d}.npz",
            images=random.integers(256, size=(len(seeds), 160, 160, 3), dtype=np.uint8),
            points=random.uniform(0.3, 0.7, (len(seeds), 5, 2)).astype(np.float32),
            box=np.tile(np.float32([0.2, 0.2, 0.8, 0.8]), (len(seeds), 1)),
            person=np.array([person for person, _ in seeds]),
            shot=np.array([taken for _, taken in seeds]),
        )
    np.savez(folder / "places/places.npz", images=random.integers(256, size=(8, 160, 160, 3), dtype=np.uint8))
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


@pytest.mark.parametrize("stage", ["recogniser", "judge", "vae", "regressors", "detector", "unet"])
def test_stages_train_and_go_on(state, stage):
    assert train(stage, state, steps=1) == 1
    before = next(iter(averaged(state, stage).values()))
    assert train(stage, state, steps=2) == 2
    after = next(iter(averaged(state, stage).values()))
    assert all(v.isfinite().all() for v in after.values())
    assert any(not torch.equal(v, before[k]) for k, v in after.items())


def test_the_photographs_are_those_that_were_rendered_and_their_truth_follows_from_the_seeds(state):
    photos = data.Photos(state / "people")
    assert len(photos) == 4 * PHOTOS and photos.annotations.person[::PHOTOS].tolist() == [0, 1, 9, 10]
    factors, attributes, said = describe(*training_shot(9, 2))
    item = 2 * PHOTOS + 2
    assert photos.annotations.factors[item].tolist() == factors.tolist() and photos.annotations.words[item] == said
    assert tuple(photos.annotations.attributes[item].tolist()) == attributes
    full = np.load(state / "people/people-00001.npz")["images"][2]
    small = photos[torch.tensor([item, 0])][0]
    assert small.shape == (3, 128, 128)
    assert abs(float(small.mean()) - full.mean() / 255) < 2e-3
    a, b = (set(photos.annotations.person[photos.of(judge)].tolist()) for judge in (False, True))
    assert a == {0, 1} and b == {9, 10}
    index = torch.arange(len(photos)).repeat(20)
    other = photos.another(index, torch.Generator().manual_seed(0))
    assert (photos.annotations.person[other] == photos.annotations.person[index]).all() and (other != index).all()


def test_missing_photographs_are_told_with_the_command_that_makes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"revpers_core\.lab\.world people"):
        train("recogniser", tmp_path, steps=1)


def test_the_command_trains_and_ships(state, tmp_path, monkeypatch, capsys):
    call = ["pocket", "train", "--stages", "recogniser,judge,vae,unet", "--state", str(state), "--steps", "4"]
    assert main.main(call) == 0
    assert reached(state, "unet") == 4 and "stage unet" in capsys.readouterr().out
    export(state, tmp_path)
    model, _ = load_denoiser(*(load_file(tmp_path / f"pocket_{name}.safetensors") for name in ("sdxl", "faceid")))
    trained = averaged(state, "unet")["model"]["unet.time_embed.0.weight"]
    assert torch.equal(model.unet.time_embed[0].weight, trained.half().float())
    judge = load_judge(tmp_path / "pocket_judge.onnx")
    assert judge.rule.measured and not judge.rule.vouches and "pairs of rendered strangers" in judge.rule.source


def test_unknown_stages_are_named(tmp_path):
    with pytest.raises(ValueError, match="stage must be one of"):
        train("unets", tmp_path)


def test_captions_are_what_the_tokenizer_makes_of_prompts():
    words = {"age": "middle-aged", "sex": "man", "skin": "dark skin", "hair": "auburn hair"}
    words |= {"expression": "open mouth", "beard": "", "glasses": "glasses"}
    assert caption(words) == "middle-aged man, dark skin, auburn hair, open mouth, glasses"
    vocabulary = Vocabulary()
    line = stages.Captions(vocabulary, [words])._line(words, [1.0] * 9)
    assert line == vocabulary.tokenizer(caption(words), add_special_tokens=False).input_ids
    assert stages.Captions(vocabulary, [words])._line(words, [1.0, *[0.5] * 8]) == []


def test_what_is_prepared_is_made_again_once_its_net_is_trained_further(state):
    photos, device = data.Photos(state / "people"), torch.device("cpu")
    there = reached(state, "recogniser")
    before = feature_cache.embeddings(photos, state, device)
    assert torch.equal(feature_cache.embeddings(photos, state, device), before)
    assert train("recogniser", state, steps=there + 1) == there + 1
    assert not torch.equal(feature_cache.embeddings(photos, state, device), before)
