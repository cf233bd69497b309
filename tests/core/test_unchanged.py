"""The last look at faces that were sampled again, with a reader that knows people by their colour."""

from dataclasses import dataclass

import pytest
import torch

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import face_in_aligned
from revpers_core.media.strength import StillRecognisedError
from revpers_core.media.unchanged import check_changed
from revpers_core.method.identity import together
from revpers_core.method.types import Identity

SIDE = 64


@dataclass
class Reader:
    """Knows people by the three colours of their crop's middle; blind: sees nobody."""

    blind: bool = False

    def place(self, crop: torch.Tensor) -> Face:
        return face_in_aligned(crop)

    def __call__(self, crop: torch.Tensor) -> torch.Tensor | None:
        middle = crop[:, 20:44, 20:44].mean((1, 2)) - 0.5
        return None if self.blind else torch.cat([middle, torch.zeros(509)])


def crop(*colours: float) -> torch.Tensor:
    return torch.tensor(colours)[:, None, None].expand(3, SIDE, SIDE).clone()


def person(image: torch.Tensor, reader: Reader | None = None) -> Identity:
    reader = reader or Reader()
    return Identity(Reader()(image)[None], readers=(reader,))


RED, BLUE = crop(0.9, 0.3, 0.3), crop(0.2, 0.3, 0.9)


def refusal(before: list, after: list, identity: Identity, where: torch.Tensor | None = None) -> str:
    try:
        check_changed(torch.stack(before), torch.stack(after), identity, where)
    except StillRecognisedError as error:
        return str(error)
    return ""


def test_somebody_else_passes():
    assert refusal([RED], [BLUE], person(RED)) == ""


def test_the_same_person_is_refused_however_the_picture_changed():
    darker = 0.5 + (RED - 0.5) * 0.5
    said = refusal([RED], [darker], person(RED))
    assert "face 1 is still the person" in said and "stronger guidance" in said and "hardly" not in said


def test_what_hardly_changed_is_refused_without_a_reader_too():
    nobody = Identity(person(RED).embedding)
    assert "hardly changed" in refusal([RED], [RED + 2 / 255], nobody)
    assert refusal([RED], [RED - 5 / 255], nobody) == ""


def test_the_mask_decides_where_it_must_change():
    outside = torch.zeros(1, 1, 8, 8)
    outside[..., :1, :] = 1
    assert "hardly changed" in refusal([RED], [BLUE], person(RED), outside)
    assert refusal([RED], [BLUE], person(RED), 1 - outside) == ""


def test_everyone_is_looked_at_and_named():
    everyone = together([person(RED), person(BLUE)])
    assert refusal([RED, BLUE], [BLUE, RED], everyone) == ""
    said = refusal([RED, BLUE], [BLUE, BLUE], everyone)
    assert "face 2 is still the person" in said and "face 1" not in said


def test_one_identity_for_two_and_another_order_are_refused():
    assert "face 2 is somebody else than it tells" in refusal([RED, BLUE], [BLUE, RED], person(RED))
    swapped = together([person(BLUE), person(RED)])
    said = refusal([RED, BLUE], [BLUE, RED], swapped)
    assert "face 1 is somebody else" in said and "face 2 is somebody else" in said


def test_a_photo_in_which_nobody_is_seen_is_refused():
    assert "no face is seen in encoded photo 1" in refusal([RED], [BLUE], person(RED, Reader(blind=True)))


def test_rows_and_together_keep_the_readers():
    readers = Reader(), Reader(blind=True)
    everyone = together([person(one, reader) for one, reader in zip((RED, BLUE), readers, strict=True)])
    assert everyone.readers == readers and everyone.rows(slice(1, 2)).readers == readers[1:]


def test_sizes_must_be_one():
    with pytest.raises(ValueError, match="expected one of the inverted photo's size, 64 x 64 pixels, got 64 x 32"):
        check_changed(RED[None], RED[None, :, :32], person(RED))


class Suspicious:
    """A judge to whom everyone in a crop of the same brightness is the same person."""

    name = "suspicious"

    def embed(self, image: torch.Tensor, face: Face) -> torch.Tensor:
        return image.mean()[None]

    def same_person(self, a: torch.Tensor, b: torch.Tensor) -> bool:
        return bool((a - b).abs() < 0.05)


def test_a_judge_that_knows_somebody_again_refuses_it():
    """Whatever the recogniser that steers says; with and without a reader."""
    before, after = torch.stack([RED, RED]), torch.stack([crop(0.3, 0.9, 0.3), crop(0.1, 0.1, 0.2)])
    for identity in (person(RED), Identity(Reader()(RED)[None])):
        check_changed(before, after, identity)
        with pytest.raises(StillRecognisedError, match=r"^face 1 is still recognised by suspicious: use stronger"):
            check_changed(before, after, identity, judges=(Suspicious(),))
