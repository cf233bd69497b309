"""A short run of tests/fuzz/mutated_pictures.py, and that it would see a fault."""

import mutated_pictures
import pytest

from revpers_core.media import images
from revpers_core.media.image_file import ImageFileError

pytestmark = pytest.mark.filterwarnings("ignore")
COUNT = 50 * len(mutated_pictures.KINDS)


def test_damaged_files_are_read_or_refused_by_name(tmp_path):
    outcomes = [mutated_pictures.read_one(*one, tmp_path) for one in mutated_pictures.files(7, 0, COUNT)]
    assert len(outcomes) == COUNT and [one for one in outcomes if one.end == "fault"] == []
    for kind in mutated_pictures.KINDS:
        assert {one.end for one in outcomes if one.kind == kind} == {"read", "refused"}, kind


@pytest.mark.parametrize("kind", mutated_pictures.KINDS)
def test_whole_files_of_every_kind_show_the_same_picture(kind, tmp_path):
    """So that what is damaged is a file of that kind, upright as its tag says."""
    path = tmp_path / mutated_pictures.name_of(kind, 0)
    path.write_bytes(mutated_pictures.KINDS[kind]())
    image = images.read(path)
    turned = kind in mutated_pictures.TURNED
    assert image.shape == (3, *(mutated_pictures.SIDE if turned else mutated_pictures.SIDE[::-1])) or kind == "ico"


@pytest.mark.parametrize(
    "raised", [TypeError("odd"), ImageFileError(mutated_pictures.Path("another.png"), "a long reason"), ValueError("x")]
)
def test_a_fault_is_seen(raised, tmp_path, monkeypatch):
    def read(path):
        raise raised

    monkeypatch.setattr(images, "read", read)
    assert mutated_pictures.read_one("png", 1, b"", tmp_path).end == "fault"


def test_a_process_that_dies_is_one_fault_and_the_others_are_read(monkeypatch):
    outcomes = list(mutated_pictures.run(7, 60, deadly=31))
    assert [one.number for one in outcomes] == list(range(60))
    assert [one.number for one in outcomes if one.end == "fault"] == [31]
