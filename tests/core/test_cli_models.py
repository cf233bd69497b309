"""What the command says of models: size, method, adapter's kind."""

import json

import numpy as np
import pytest
from PIL import Image

from revpers_core.cli.main import main


@pytest.fixture
def face(tmp_path):
    path = tmp_path / "face.png"
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC).save(path)
    return path


def run(face, out, *more):
    return main(["anonymize", str(face), "-o", str(out), "--crops", "--steps", "4", "--seed", "1", "--json", *more])


def test_size_and_method(random_pocket, face, tmp_path, capsys):
    pictures = {}
    for name, more in {"usual": (), "small": ("--size", "64"), "nullface": ("--method", "nullface")}.items():
        assert run(face, tmp_path / name, *more) == 0
        report = json.loads(capsys.readouterr().out)
        pictures[name] = np.asarray(Image.open(report["output"]).convert("RGB"))
    assert report["settings"]["method"] == "nullface"
    assert pictures["usual"].shape == (128, 128, 3) and pictures["small"].shape == (64, 64, 3)
    assert np.abs(pictures["usual"].astype(int) - pictures["nullface"]).max() > 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--size", "100"), "--size must be a multiple of 64, got 100"),
        (("--method", "nullface", "--age", "old"), "nullface leads away from what stands in the unconditional branch"),
    ],
)
def test_what_cannot_be_is_said(random_pocket, face, tmp_path, capsys, more, words):
    assert run(face, tmp_path / "out", *more) == 1
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.png")) if (tmp_path / "out").is_dir() else True


def test_an_adapter_that_needs_clip_says_so(tmp_path, face, capsys):
    import torch
    from adapter_files import adapter

    torch.save(adapter("plus-face", [64]), tmp_path / "plus.bin")
    files = ("--model", str(face), "--adapter", str(tmp_path / "plus.bin"), "--face-model", str(face))
    assert run(face, tmp_path / "out", *files) == 1
    assert "looks at faces through CLIP ViT-H: give clip_vision" in capsys.readouterr().err
