"""Who comes instead on the command line, on a pocket model with random weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from revpers_core.cli.identity_options import identity_choice
from revpers_core.cli.main import main
from revpers_core.media import images

CROPS = ("--steps", "3", "--skip", "0.5", "--guidance", "-10", "--crops", "--seed", "5")


@pytest.fixture(autouse=True)
def here(random_pocket, offline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def face(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def result(name: str) -> torch.Tensor:
    return images.read(f"{name}_anonymous.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a stranger by seed"),
        (["--preset", "paper"], "nobody"),
        (["--preset", "paper", "--instead", "stranger"], "a stranger by seed"),
        (["--preset", "fast", "--instead", "nobody"], "nobody"),
        (["--pseudonyms"], "the same stranger by key"),
        (["--instead", "her.png"], "this picture"),
    ],
)
def test_a_stranger_is_the_default_everywhere_but_in_the_papers_preset(arguments, said):
    import argparse

    from revpers_core.cli import anonymize

    parser = argparse.ArgumentParser()
    anonymize.add(parser.add_subparsers())
    assert identity_choice(parser.parse_args(["anonymize", "a.png", "-o", "out", *arguments])) == said


def test_another_person_seed_is_another_result_and_the_same_one_the_same(capsys):
    face("me.png")
    for name, person in (("a", 1), ("b", 1), ("c", 2)):
        assert run(capsys, "anonymize", "me.png", "-o", name, "--person", person, *CROPS)[0] == 0
    a, b, c = (result(f"{name}/me") for name in "abc")
    assert torch.equal(a, b) and (a - c).abs().max() > 0.02


def test_one_person_is_one_stranger_by_key_and_roster_in_later_runs_too(capsys, tmp_path):
    """Pictures in another order, in another run: who is who is remembered."""
    for k in (1, 2):
        face(f"{k}.png", seed=k)
    (tmp_path / "key.txt").write_text("a sentence that nobody guesses\n")
    keyed = ("--pseudonyms", "key.txt", "--roster", "who.roster", "--json", *CROPS)
    _, out, err = run(capsys, "anonymize", "1.png", "2.png", "-o", "a", *keyed)
    assert [json.loads(line)["person"] for line in out.splitlines()] == ["person 1", "person 2"] and not err
    _, out, _ = run(capsys, "anonymize", "2.png", "1.png", "-o", "b", *keyed)
    assert [json.loads(line)["person"] for line in out.splitlines()] == ["person 2", "person 1"]
    assert all(torch.equal(result(f"a/{k}"), result(f"b/{k}")) for k in (1, 2))
    report = json.loads(out.splitlines()[0])
    assert report["settings"]["key"] == "key.txt" and "nobody guesses" not in out
    (tmp_path / "other.txt").write_text("quite another sentence")
    before = (tmp_path / "who.roster").read_bytes()
    code, _, err = run(capsys, "anonymize", "1.png", "-o", "c", *keyed[2:], "--pseudonyms", "other.txt")
    assert code == 1 and "the key is not the one" in err and (tmp_path / "who.roster").read_bytes() == before
    assert not (tmp_path / "c").exists()


def test_a_picture_of_somebody_who_comes_instead(capsys):
    face("me.png")
    face("her.png", seed=3)
    assert run(capsys, "anonymize", "me.png", "-o", "a", "--instead", "her.png", *CROPS)[0] == 0
    assert run(capsys, "anonymize", "me.png", "-o", "b", "--instead", "nobody", *CROPS)[0] == 0
    assert (result("a/me") - result("b/me")).abs().max() > 0.02
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "c", "--instead", "me.png", *CROPS)
    assert code == 1 and "looks like the person" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--roster", "r"], "needs --pseudonyms KEYFILE"),
        (["--pseudonyms", "--instead", "nobody"], "leave out one"),
        (["--instead", "nobody", "--instead", "a.png"], "stands alone"),
        (["--instead", "nobody", "--person", "3"], "does nothing here"),
        (["--length", "1.2"], "must be from 0 to 1"),
        (["--pseudonyms", "missing.txt"], "cannot be read"),
        (["--pseudonyms", "short.txt"], "only 5 bytes long"),
        (["--person", "-1"], "0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(arguments, said, capsys, tmp_path):
    face("me.png")
    (tmp_path / "short.txt").write_text("short")
    code, out, err = run(capsys, "anonymize", "me.png", "-o", "out", *arguments, *CROPS)
    assert code == 1 and said in err and not out
    assert not list(tmp_path.glob("out/*"))
