"""A whole photo with stand-ins for the networks: whatever goes wrong, nobody is handed back as they were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import face_for_recogniser, framing
from revpers_core.faces.judges import DecisionRule, cosine
from revpers_core.faces.select import keep_people
from revpers_core.media.photo import PhotoOptions, PhotoPorts, anonymize_or, anonymize_photo
from revpers_core.media.strength import StillRecognisedError
from revpers_core.media.verdict import independent, verdict
from revpers_core.method.types import Identity, NoFaceError

RULE = DecisionRule(cosine, 0.5, -0.5, "a test")
WISHES = PhotoOptions(-10.0)
SIDE = 64
PLACES = ((20, 20), (120, 30), (60, 120))


def scene(*places: tuple[int, int], size: int = 64) -> tuple[Tensor, list[Face]]:
    """A grey photo with people of coloured noise, each in a square at (x, y), and where their faces are."""
    photo, faces = torch.full((3, 200, 220), 0.5), []
    for k, (x, y) in enumerate(places):
        draw = torch.Generator().manual_seed(k)
        coarse = torch.rand(1, 3, 16, 16, generator=draw)
        photo[:, y : y + size, x : x + size] = torch.nn.functional.interpolate(coarse, (size, size))[0]
        points = (framing(size) + torch.tensor([x, y])).float()
        faces.append(Face((x + size * 0.24, y + size * 0.22, x + size * 0.76, y + size * 0.87), points, 0.9))
    return photo, faces


def features(photo: Tensor, face: Face) -> Tensor:
    """512 numbers by which the stand-ins know people: the face's middle in coarse pixels."""
    middle = face_for_recogniser(photo, face)[:, 24:88, 24:88]
    coarse = torch.nn.functional.adaptive_avg_pool2d(middle, 13).flatten()
    return torch.nn.functional.pad(coarse - coarse.mean(), (0, 5))


@dataclass
class Pixels:
    """A judge that knows people by their pixels. turned: another network's view of the same."""

    name: str = "pixels"
    rule: DecisionRule = RULE
    turned: bool = True

    def embed(self, image: Tensor, face: Face) -> Tensor:
        seen = features(image, face)
        return seen.roll(100) * torch.linspace(0.2, 1, 512) if self.turned else seen

    def similarity(self, a: Tensor, b: Tensor) -> float:
        return self.rule.likeness(a, b)

    def same_person(self, a: Tensor, b: Tensor) -> bool:
        return not self.similarity(a, b) < self.rule.threshold


def stranger(crop: Tensor, identity: Identity, index: int) -> Callable[[float], Tensor]:
    """Somebody else, by the index."""
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(100 + index))
    return lambda guidance: torch.nn.functional.interpolate(coarse, crop.shape[-2:])


def as_is(crop: Tensor, identity: Identity, index: int) -> Callable[[float], Tensor]:
    """A network that does not change anything."""
    return lambda guidance: crop


def tools(faces: Sequence[Face], **changes) -> PhotoPorts:
    def embed(photo: Tensor, face: Face) -> Identity:
        return Identity(features(photo, face)[None])

    return replace(PhotoPorts(lambda image: list(faces), embed, stranger, SIDE), **changes)


def test_everyone_changes_and_the_rest_does_not():
    photo, faces = scene(*PLACES)
    done = anonymize_photo(photo, tools(faces, judges=[Pixels()]), WISHES)
    assert [one["verdict"] for one in done.faces] == ["not re-identified by 1 of 1 judges"] * 3
    assert torch.equal(done.image[:, done.mask[0] == 0], photo[:, done.mask[0] == 0])
    for face in faces:
        assert cosine(features(photo, face), features(done.image, face)) < 0.5


def test_the_model_sees_as_much_around_a_face_as_is_asked_and_the_same_place_changes():
    photo, faces = scene((80, 80))
    seen: list[Tensor] = []

    def invert_face(crop, identity, index):
        seen.append(crop)
        return stranger(crop, identity, index)

    usual, same, wide = (
        anonymize_photo(photo, tools(faces, invert_face=invert_face), wishes)
        for wishes in (WISHES, replace(WISHES, crop_factor=1.0), replace(WISHES, crop_factor=2.0))
    )
    assert torch.equal(usual.image, same.image) and not torch.equal(usual.image, wide.image)
    borders = [float((crop[0, :, :4] - 0.5).abs().mean()) for crop in (seen[0], seen[2])]
    assert borders[0] > 0.05 and borders[1] < 0.01, "the grey around the person is not in the wide crop"
    assert ((usual.mask > 0.5) != (wide.mask > 0.5)).sum() < 0.1 * (usual.mask > 0.5).sum()


@pytest.mark.parametrize("judges", [[], [Pixels()]])
@pytest.mark.parametrize("wishes", [WISHES, replace(WISHES, match=True), PhotoOptions(-0.01)])
def test_an_unchanged_face_is_an_error(judges, wishes):
    photo, faces = scene(*PLACES)
    with pytest.raises(StillRecognisedError, match="still recognised by"):
        anonymize_photo(photo, tools(faces, invert_face=as_is, judges=judges), wishes)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_one_unchanged_face_of_many_is_an_error(bad):
    photo, faces = scene(*PLACES)

    def invert_face(crop, identity, index):
        return (as_is if index == bad else stranger)(crop, identity, index)

    with pytest.raises(
        StillRecognisedError, match=f"face {bad + 1} is still recognised by the recogniser that steered"
    ):
        anonymize_photo(photo, tools(faces, invert_face=invert_face), WISHES)


@pytest.mark.parametrize("otherwise", ["raise", "blur", "pass"])
def test_a_face_that_the_recogniser_cannot_read_never_passes_for_no_face(otherwise):
    photo, faces = scene(*PLACES)

    def embed(image, face):
        raise NoFaceError("no face in image 1 of 1")

    with pytest.raises(ValueError, match=r"a face was found at \(52, 55\).*raise min_score") as raised:
        anonymize_or(otherwise, photo, tools(faces, embed=embed), WISHES)
    assert not isinstance(raised.value, NoFaceError)


def test_a_keep_list_that_cannot_read_a_face_keeps_nobody():
    """The recogniser reads all but the first face; the reference is the second person's."""
    photo, faces = scene(*PLACES)
    embed = tools(faces).embed

    def reads(image, face):
        if face is faces[0]:
            raise NoFaceError("image: no face in image 1 of 1")
        return embed(image, face)

    keep = keep_people([photo], [faces[1:2]], reads, 0.9)
    assert keep(photo, faces) == faces[1:2]
    assert keep_people([], [], lambda *_: pytest.fail("nobody is on the list"), 0.9)(photo, faces) == []

    def refuses(image, found):
        raise NoFaceError("no face in reference photo 1 of 1")

    with pytest.raises(ValueError, match="a face was found, but no face in reference") as raised:
        anonymize_or("pass", photo, tools(faces), replace(WISHES, keep=refuses))
    assert not isinstance(raised.value, NoFaceError)


def test_where_nobody_is_found_the_user_chooses(caplog):
    photo, _ = scene(*PLACES)
    with pytest.raises(NoFaceError):
        anonymize_or("raise", photo, tools([]), WISHES)
    assert torch.equal(anonymize_or("pass", photo, tools([]), WISHES).image, photo)
    assert "no face was found in an image" in caplog.text
    done = anonymize_or("blur", photo, tools([]), WISHES)
    assert done.mask.min() == 1 and done.image.diff(dim=2).abs().max() < 0.1 < photo.diff(dim=2).abs().max()


def test_a_detector_that_fails_on_one_look_hands_nothing_back():
    photo, faces = scene(*PLACES)
    looks = [list(faces)]

    def detect(image):
        if not looks:
            raise RuntimeError("the net broke")
        return looks.pop()

    with pytest.raises(RuntimeError, match="the net broke"):
        anonymize_or("pass", photo, tools(faces, detect=detect), WISHES)


def test_faces_that_only_the_second_look_finds_are_done_too_then_are_an_error():
    photo, faces = scene(*PLACES)
    looks = iter([faces[:1], faces[:2], faces[:2]])
    done = anonymize_photo(photo, tools([], detect=lambda image: next(looks)), WISHES)
    assert len(done.faces) == 2
    looks = iter([faces[:1], faces[:2], faces])
    with pytest.raises(StillRecognisedError, match=r"1 faces still turn up after the second look, at \(92, 155\)"):
        anonymize_photo(photo, tools([], detect=lambda image: next(looks)), WISHES)


def test_nothing_of_an_overlapped_face_comes_back_with_its_neighbour():
    """Two heads cheek by cheek: the crop of the second shows the first as it is by now, never as it was."""
    photo, faces = scene((40, 40), (72, 44))
    shown: list[Tensor] = []

    def invert_face(crop, identity, index):
        shown.append(crop[0])
        return lambda guidance: torch.zeros_like(crop) if index == 0 else crop + 0.03 * torch.randn_like(crop)

    done = anonymize_photo(
        photo,
        tools(faces, invert_face=invert_face, embed=lambda *_: Identity(torch.zeros(1, 512))),
        replace(WISHES, match=False),
    )
    first = faces[0].points[1].round().int().tolist()
    x, y = first[0] - 4, first[1]
    assert done.image[:, y - 2 : y + 3, x - 2 : x + 3].max() < 0.2, "the first face shines through"
    assert (shown[1] < 0.02).all(0).float().mean() > 0.05


def test_the_finished_picture_is_judged_again():
    """The second face's change undoes the first one's: no look at one face alone can see that."""
    photo, faces = scene((40, 40), (46, 100))

    def invert_face(crop, identity, index):
        return lambda guidance: 1 - crop.flip(-1) if index == 0 else torch.full_like(crop, 0.5)

    asked: list[tuple[float, ...]] = []

    class Late(Pixels):
        """Knows nobody until both are done."""

        def similarity(self, a, b):
            asked.append(())
            return 0.9 if len(asked) == 3 else 0.0

    done = anonymize_photo(photo, tools(faces, invert_face=invert_face, judges=[Late()]), WISHES)
    assert sorted(one["guidance"] for one in done.faces) == [-15.0, -10.0], "done again stronger"
    asked.clear()

    class Stubborn(Pixels):
        """Knows somebody whenever both are done."""

        def similarity(self, a, b):
            asked.append(())
            return 0.9 if len(asked) > 3 else 0.0

    with pytest.raises(StillRecognisedError, match=r"face 2 is still recognised by pixels"):
        anonymize_photo(photo, tools(faces, invert_face=invert_face, judges=[Stubborn()]), WISHES)


def test_a_face_that_only_moved_is_recognised_where_it_is_now():
    """At its old place a judge of pixels sees a stranger; the second look finds the face a little farther on."""
    photo, faces = scene((60, 60), size=96)
    (face,) = faces
    moved = Face(tuple(v + 6 for v in face.box), face.points + 6, 0.9)

    def invert_face(crop, identity, index):
        step = 0 if index else 4  # crops are of 64 pixels, done again it stays there
        return lambda guidance: crop.roll((step, step), (-2, -1))

    def detect(image):
        return [face] if torch.equal(image, photo) else [moved]

    asked = tools(
        [face],
        detect=detect,
        invert_face=invert_face,
        judges=[Pixels()],
        embed=lambda *_: Identity(torch.zeros(1, 512)),
    )
    with pytest.raises(StillRecognisedError, match=r"the face at .* is still recognised by pixels"):
        anonymize_photo(photo, asked, WISHES)
    anonymize_photo(photo, replace(asked, detect=lambda image: [face]), WISHES)  # nobody is found at the new place


def test_the_steering_recogniser_under_another_name_vouches_for_nobody():
    photo, faces = scene(*PLACES)
    same, other = Pixels("renamed", turned=False), Pixels()
    done = anonymize_photo(photo, tools(faces, judges=[same]), WISHES)
    assert {one["verdict"] for one in done.faces} == {"unverified: the judge is the recogniser that steered the run"}
    done = anonymize_photo(photo, tools(faces, judges=[same, other]), WISHES)
    assert {one["verdict"] for one in done.faces} == {"not re-identified by 1 of 1 judges"}
    identity = Identity(features(photo, faces[0])[None])
    assert independent([same, other], [3 * identity.embedding[0], torch.ones(128)], identity) == [other]
    assert verdict([]) == "unverified"


def mask(value: float, box: tuple[int, int, int, int] = (0, 0, 220, 200)) -> Tensor:
    out = torch.zeros(1, 200, 220)
    x0, y0, x1, y1 = box
    out[:, y0:y1, x0:x1] = value
    return out


def test_a_mask_confines_the_change_bit_for_bit():
    photo, faces = scene(*PLACES)
    where = mask(1.0, (0, 0, 220, 152))
    done = anonymize_photo(photo, tools(faces), replace(WISHES, where=where))
    assert torch.equal(done.image[:, 152:], photo[:, 152:]) and done.mask[:, 152:].max() == 0
    assert not torch.equal(done.image[:, 140:152], photo[:, 140:152])


@pytest.mark.parametrize("where", [mask(0.0), mask(1.0, (0, 0, 10, 10)), mask(1.0, (0, 0, 110, 200))])
def test_a_mask_that_covers_someone_is_an_error(where):
    photo, faces = scene(*PLACES)
    with pytest.raises(ValueError, match=r"leave .* of a face to change"):
        anonymize_photo(photo, tools(faces), replace(WISHES, where=where))


def test_keeping_the_whole_face_is_an_error():
    photo, faces = scene(*PLACES)
    with pytest.raises(ValueError, match=r"leave .* of a face to change"):
        anonymize_photo(photo, tools(faces), replace(WISHES, keep_parts=("face",)))
    done = anonymize_photo(photo, tools(faces), replace(WISHES, keep_parts=("eyes", "mouth")))
    assert len(done.faces) == 3 and not torch.equal(done.image, photo)


def test_those_who_stay_are_told_and_stay():
    photo, faces = scene(*PLACES)
    done = anonymize_photo(photo, tools(faces), replace(WISHES, keep=lambda image, found: found[:1]))
    assert [one["box"] for one in done.kept] == [list(faces[0].box)] and len(done.faces) == 2
    x, y = faces[0].points[2].int().tolist()
    assert torch.equal(done.image[:, y - 10 : y + 10, x - 10 : x + 10], photo[:, y - 10 : y + 10, x - 10 : x + 10])
