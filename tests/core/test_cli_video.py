"""``revpers video`` on a rendered clip, with the pocket model."""

import json
from pathlib import Path

import pytest
from test_clip import moments, pictures, sound_of, write_clip

from revpers_core.cli.main import main
from revpers_core.lab.clips import clip as clip_frames
from revpers_core.lab.clips import scene
from revpers_core.media import images
from revpers_core.media.marks import SOURCE_TYPE

pytest.importorskip("diffusers")
FAST = ["--steps", "2", "--guidance", "-5", "--seed", "1"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two people, 6 frames, 180 x 320."""
    return write_clip(tmp_path_factory.mktemp("clips") / "a.mp4", list(scene([0, 1], 6)), pixels="yuv420p")


def test_everyone_in_a_clip(clip, tmp_path, capsys):
    output = tmp_path / "b.mkv"
    assert main(["video", str(clip), "-o", str(output), *FAST, "--judge", "pocket", "--json"]) == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert record["frames"] == 6 and len(record["people"]) == 2 and record["settings"]["seed"] == 1
    assert [one["made"] for one in record["people"]] == [6, 6] or record["blurred_frames"]
    assert "12 faces in 6 frames, 8 network evaluations each" in said.err
    assert len(pictures(output)) == 6 and sound_of(output) == sound_of(clip)
    for before, after in zip(pictures(clip), pictures(output), strict=True):
        assert float((before - after).abs().mean()) > 0.01


def test_who_is_on_a_photo_to_keep_stays(clip, tmp_path, capsys):
    photo, output = tmp_path / "keep.png", tmp_path / "b.mp4"
    images.write_png(images.to_pil(clip_frames(0, 1)[0]), photo)
    asked = [*FAST, "--keep", str(photo), "--likeness", "0.8", "--end", "0.1", "--no-sound", "--lossless"]
    assert main(["video", str(clip), "-o", str(output), *asked]) == 0
    assert "1 person changed, 1 left alone as asked" in capsys.readouterr().out
    assert moments(output) == moments(clip)[:3] and sound_of(output) == []
    for before, after in zip(pictures(clip), pictures(output), strict=False):
        left = slice(None), slice(0, 120), slice(0, 150)  # without the word at the foot
        assert float((before[left] - after[left]).abs().max()) < 0.02


def test_a_clip_is_marked_when_asked_for(clip, tmp_path):
    """In the file for machines and in the corner of every frame for people; not otherwise."""
    first = [*FAST, "--end", "0.04", "--no-sound", "--lossless"]
    assert main(["video", str(clip), "-o", str(tmp_path / "plain.mp4"), *first]) == 0
    assert main(["video", str(clip), "-o", str(tmp_path / "marked.mp4"), *first, "--mark", "--mark-corner"]) == 0
    assert SOURCE_TYPE.encode() in (tmp_path / "marked.mp4").read_bytes()
    assert SOURCE_TYPE.encode() not in (tmp_path / "plain.mp4").read_bytes()
    plain, marked = pictures(tmp_path / "plain.mp4"), pictures(tmp_path / "marked.mp4")
    assert len(plain) == len(marked) > 0
    for before, after in zip(plain, marked, strict=True):
        changed = (before - after).abs().amax(0) > 0.1
        assert changed[-30:].any() and not changed[:-40].any()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "name the new clip with -o"),
        (["-o", "b.mp4", "--crops"], "--crops is for pictures"),
        (["-o", "b.mp4", "--lossless", "--quality", "3"], "exclude each other"),
        (["-o", "b.mp4", "--start", "3", "--end", "2"], "0 <= start < end"),
        (["-o", "b.txt"], "name a clip that ends in"),
        (["-o", "b.mp4", "--target"], "needs a --judge"),
    ],
)
def test_wrong_wishes_are_told_in_words(clip, tmp_path, capsys, asked, message):
    asked = [str(tmp_path / one) if one.startswith("b.") else one for one in asked]
    assert main(["video", str(clip), *FAST, *asked]) == 1
    assert message in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_only_the_cost(clip, tmp_path, capsys):
    assert main(["video", str(clip), "--cost", *FAST, "--end", "0.1"]) == 0
    assert "6 faces in 3 frames, 8 network evaluations each: about" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
