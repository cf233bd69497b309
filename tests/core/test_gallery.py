"""The gallery: every picture is there, told right, and cut so that the face is where the networks expect it."""

import json

import pytest
import torch
from PIL import Image

from revpers_core import pocket
from revpers_core.cli.main import main
from revpers_core.faces.geometry import framing
from revpers_core.faces.judge_spec import load_judge
from revpers_core.lab.rendered import GalleryAlbum, GalleryPeople
from revpers_core.lab.world.factors import FACTORS, HELD_OUT
from revpers_core.lab.world.shot import describe
from revpers_core.media import gallery

KNOWN = json.loads((pocket.GALLERY / "gallery.json").read_text())
PHOTOS = {name: description for name, description in KNOWN.items() if name.startswith("person")}


def test_every_file_is_told_and_every_telling_has_its_file():
    there = {path.name for path in pocket.GALLERY.iterdir()} - {"gallery.json"}
    assert there == set(KNOWN)
    assert sum(path.stat().st_size for path in pocket.GALLERY.iterdir()) <= 15e6


def test_pictures_hold_pixels_only_and_have_their_size():
    for name in KNOWN:
        if name.endswith("jpg"):
            with Image.open(pocket.GALLERY / name) as picture:
                assert not picture.getexif() and set(picture.info) <= {
                    "jfif",
                    "jfif_version",
                    "jfif_unit",
                    "jfif_density",
                }
                assert picture.size == ((384, 384) if name in PHOTOS else (1280, 720))


def test_the_truth_is_the_worlds():
    """Factors and words are those that the seeds describe; nobody was seen in training."""
    assert gallery.FACTORS == FACTORS
    for description in PHOTOS.values():
        factors, _, said = describe(description["person"], description["shot"])
        assert description["person"] >= HELD_OUT and description["words"] == said
        assert description["factors"] == pytest.approx(factors.tolist(), abs=6e-4)


def test_a_crop_frames_the_face():
    for person in range(0, gallery.people(), 5):
        photo = gallery.photo(person)
        crop = gallery.aligned_face(person)
        assert crop.shape == (3, 128, 128) and crop.std() > 0.05
        scaled = photo.face.points - photo.face.points.mean(0)
        wanted = framing(384) - framing(384).mean(0)
        assert 0.5 < float(scaled.norm() / wanted.norm()) < 1.0  # a wider picture than the crop


@pytest.mark.parametrize("number", range(gallery.clips()))
def test_a_clip_is_told_frame_by_frame(number):
    clip = gallery.clip(number)
    assert clip.path.read_bytes()[4:8] == b"ftyp" and clip.rate == 24 and len(clip.faces) == len(clip.factors) == 48
    places = torch.stack([face.points for face in clip.faces])
    assert (places > 0).all() and (places < clip.side).all()
    step = places.diff(dim=0).norm(dim=-1).amax()
    assert 0 < step < 0.05 * clip.side  # it moves, and never jumps
    assert {factor["yaw"] for factor in clip.factors} != {clip.factors[0]["yaw"]}


def test_a_group_has_somebody_far_away():
    for number in range(gallery.groups()):
        shown = gallery.group_photo(number)
        areas = sorted(face.area for face in shown.faces)
        assert 5 <= len(areas) == len(shown.words) <= 8 and areas[0] < 0.6 * areas[-1]


def test_numbers_beyond_the_last_begin_again():
    count = gallery.people()
    assert torch.equal(gallery.photo(count + 2).pixels, gallery.photo(2).pixels)
    with pytest.raises(ValueError, match="counted from 0"):
        gallery.photo(-1)
    with pytest.raises(ValueError, match="no group 99"):
        gallery.group_photo(99)


def test_the_command_shows_everyone_and_hands_out_the_files(tmp_path):
    assert main(["pocket", "gallery", "-o", str(tmp_path / "all.jpg"), "--photos", str(tmp_path / "photos")]) == 0
    assert Image.open(tmp_path / "all.jpg").width > 1000
    assert {path.name for path in (tmp_path / "photos").iterdir()} == {*KNOWN, "gallery.json"}


@pytest.mark.skipif(gallery.people() < 46, reason="too few people for a threshold")
def test_a_threshold_among_rendered_strangers_vouches_for_no_photo(tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(pocket.FACE_MODEL.read_bytes())
    assert main(["judge", str(file), "--people", "gallery"]) == 0
    found = load_judge(tmp_path / "a.rendered.json")
    assert found.rule.measured and not found.rule.vouches and not (tmp_path / "a.json").exists()
    assert 0 < found.rule.floor + 1 < found.rule.threshold + 1 < 2


def test_the_lab_measures_on_the_gallery():
    twice = [person for person in range(gallery.people()) if gallery.photos(person) > 1]
    if len(twice) < 3:
        pytest.skip("too few people with two photos")
    people = GalleryPeople(2, first=1)
    assert torch.equal(people.photos[0], gallery.aligned_face(twice[1])) and people.points(0) is None
    assert torch.equal(people.gallery[1], gallery.aligned_face(twice[2], 1))
    factors, attributes, _ = describe(PHOTOS[f"person-{twice[2]:02d}-0.jpg"]["person"], 0)
    assert tuple(people.attributes[1].tolist()) == attributes and people.factors.shape == (2, len(factors))
    album = GalleryAlbum()
    assert len(album.images) == len(album.attributes) == album.photos_each * len(twice)
    assert torch.equal(album.images[album.photos_each + 1], gallery.aligned_face(twice[1], 1))
    with pytest.raises(ValueError, match="ask for fewer"):
        GalleryPeople(1000)
