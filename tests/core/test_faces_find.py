"""Finding everyone with a detector whose limits are known: it sees whole, upright, red-over-blue blocks."""

from itertools import pairwise

import pytest
import torch

from revpers_core.faces import views
from revpers_core.faces.detect import Search, find_faces
from revpers_core.faces.face import Face
from revpers_core.faces.merge import iou, merge_faces, nms


def drawn(height: int, width: int, *faces: tuple[int, int, int]) -> torch.Tensor:
    """A grey picture with faces of (left, top, size) pixels: red above, blue below, in columns of their own."""
    image = torch.full((3, height, width), 0.5)
    for left, top, size in faces:
        block = image[:, max(0, top) : top + size, max(0, left) : left + size]
        block[:] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
        image[:, max(0, top) : top + size // 2, max(0, left) : left + size] = torch.tensor([1.0, 0, 0])[:, None, None]
    return image


class Blocks:
    """Sees blocks of 14 to 300 pixels that have ``room`` pixels around them; keeps the sizes of what it was shown."""

    def __init__(self, room: int = 3, score: float = 0.9, shift: float = 0.0):
        self.room, self.score, self.shift, self.shown = room, score, shift, []

    def __call__(self, image: torch.Tensor) -> list[Face]:
        self.shown.append(tuple(image.shape[-2:]))
        red, blue = ((image[a] > 0.7) & (image[b] < 0.3) for a, b in ((0, 2), (2, 0)))
        columns = (red | blue).any(0).nonzero().flatten().tolist()
        starts = [b for a, b in pairwise([-9, *columns]) if b - a > 3]
        ends = [a for a, b in pairwise([*columns, 10**6]) if b - a > 3]
        found = [self._one(red, blue, start, end) for start, end in zip(starts, ends, strict=True)]
        return [face for face in found if face is not None]

    def _one(self, red: torch.Tensor, blue: torch.Tensor, start: int, end: int) -> Face | None:
        rows = (red | blue)[:, start : end + 1].any(1).nonzero().flatten()
        top, bottom, size = int(rows[0]), int(rows[-1]), end - start + 1
        room = min(start, top, red.shape[1] - 1 - end, red.shape[0] - 1 - bottom)
        upper, lower = (half[:, start : end + 1].nonzero() for half in (red, blue))
        if not 14 <= size <= 300 or room < self.room or not len(upper) or not len(lower):
            return None
        way = lower.double().mean(0) - upper.double().mean(0)
        if way[0] < 0.3 * size:
            return None
        x, y = start + self.shift * size, top + self.shift * size
        places = ((0.25, 0.25), (0.75, 0.25), (0.5, 0.5), (0.3, 0.75), (0.7, 0.75))
        points = torch.tensor([[x + size * a, y + size * b] for a, b in places])
        return Face((x, y, x + size, y + size), points, self.score)


def near(face: Face, left: float, top: float, size: float, within: float = 0.06) -> bool:
    box = torch.tensor([left, top, left + size, top + size])
    return bool((torch.tensor(face.box) - box).abs().max() <= max(1.5, within * size))


def test_faces_come_largest_first_and_once() -> None:
    image = drawn(400, 600, (20, 30, 40), (100, 50, 120), (300, 200, 60))
    faces = find_faces(image, [Blocks(), Blocks(shift=0.02, score=0.7)])
    assert [round(face.area**0.5, -1) for face in faces] == [120, 60, 40]
    assert near(faces[0], 100, 50, 120)
    assert {face.score for face in faces} == {0.9}


def test_nobody_is_an_empty_list() -> None:
    for shape in ((1, 1), (5, 900), (300, 300)):
        assert find_faces(torch.full((3, *shape), 0.5), [Blocks()]) == []


def test_detectors_are_united() -> None:
    """Each sees what the other does not; what both see is one face."""
    image = drawn(300, 300, (30, 30, 60), (200, 200, 60))

    def left(look: torch.Tensor) -> list[Face]:
        return [face for face in Blocks()(look) if face.box[0] < look.shape[-1] / 2]

    def right(look: torch.Tensor) -> list[Face]:
        return [face for face in Blocks()(look) if face.box[0] > look.shape[-1] / 2]

    assert len(find_faces(image, [left])) == len(find_faces(image, [right])) == 1
    assert len(find_faces(image, [left, right])) == len(find_faces(image, [left, right, Blocks()])) == 2


@pytest.mark.parametrize(("size", "place"), [(24, (1900, 700)), (24, (700, 1170)), (60, (1000, 610)), (900, (300, 90))])
def test_small_and_large_faces_in_a_large_photo(size: int, place: tuple[int, int]) -> None:
    """24 of 2400 pixels: seen in tiles only; 900: in the small whole look only; at the tiles' borders too."""
    image = drawn(1300, 2400, (*place, size))
    (face,) = find_faces(image, [Blocks()])
    assert near(face, *place, size)


def test_a_face_that_a_tile_cuts_is_not_found_in_part() -> None:
    image = drawn(1000, 2400, (900, 300, 300))
    faces = find_faces(image, [Blocks(room=0)])
    assert len(faces) == 1 and near(faces[0], 900, 300, 300)


def test_no_look_is_large() -> None:
    blocks = Blocks()
    find_faces(drawn(1800, 3000, (40, 40, 200)), [blocks], Search(side=640))
    assert max(max(shape) for shape in blocks.shown) <= 640
    assert len(blocks.shown) > 20
    fewer = Blocks()
    find_faces(drawn(1800, 3000, (40, 40, 200)), [fewer], Search(side=640, smallest=100))
    assert len(fewer.shown) == 2 + 2 * 3, "two looks, and each in three turns"


@pytest.mark.parametrize("size", [30, 90, 250, 700])
def test_a_tight_crop_is_seen_with_a_border(size: int) -> None:
    image = drawn(size, size, (0, 0, size))
    assert Blocks()(image) == []
    (face,) = find_faces(image, [Blocks()])
    assert near(face, 0, 0, size)


def test_a_face_in_the_border_only_is_none() -> None:
    """A detector that sees someone in the grey around the photo."""

    def haunted(look: torch.Tensor) -> list[Face]:
        points = torch.tensor([[3.0, 3], [9, 3], [6, 6], [4, 9], [8, 9]])
        return [Face((0.0, 0.0, 12.0, 12.0), points, 0.9)] if look.shape[-1] > 100 else []

    assert find_faces(torch.full((3, 100, 100), 0.5), [haunted]) == []


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_faces(quarters: int) -> None:
    upright = drawn(300, 400, (100, 60, 80))
    image = torch.rot90(upright, quarters, (1, 2))
    assert find_faces(image, [Blocks()], Search(turn="never")) == []
    for turn in ("when none", "always"):
        (face,) = find_faces(image, [Blocks()], Search(turn=turn))
        # Turned back, the points are those of the upright face: the viewer's left stays the head's.
        back = views.rotated_view(views.View(upright, torch.eye(3, dtype=torch.float64)[:2]), quarters).back
        points = face.points.double() @ back[:, :2].T + back[:, 2]
        assert (points[0] - torch.tensor([120, 80])).norm() < 4 and (points[4] - torch.tensor([156, 120])).norm() < 4
        assert views.roll(face) == pytest.approx({1: -90, 2: 180, 3: 90}[quarters], abs=3) or quarters == 2


def test_turned_faces_are_found_beside_upright_ones() -> None:
    image = drawn(300, 500, (50, 60, 80))
    image[:, 190:270, 300:340] = torch.tensor([1.0, 0, 0])[:, None, None]
    image[:, 190:270, 340:380] = torch.tensor([0, 0, 1.0])[:, None, None]
    assert len(find_faces(image, [Blocks()], Search(turn="when none"))) == 1
    assert len(find_faces(image, [Blocks()])) == 2


def test_a_turned_look_does_not_overrule_an_upright_one() -> None:
    """A detector that takes an upright face for a hanging one too, and is surer of it."""
    (upright,) = find_faces(drawn(300, 300, (100, 110, 80)), [Blocks()])

    def both(look: torch.Tensor) -> list[Face]:
        found = Blocks()(look)
        turned = [Face(face.box, face.points, 0.99) for face in Blocks()(torch.rot90(look, 2, (1, 2)))]
        x, y = look.shape[-1] - 1, look.shape[-2] - 1
        back = [
            Face((x - f.box[2], y - f.box[3], x - f.box[0], y - f.box[1]), torch.tensor([x, y]) - f.points, f.score)
            for f in turned
        ]
        return found if found else back

    (face,) = find_faces(drawn(300, 300, (100, 110, 80)), [both])
    assert torch.equal(face.points, upright.points) and face.score == 0.9


def test_a_leaning_face_is_found_again_upright() -> None:
    """A detector that errs by a quarter of the face on leaning heads, as the nets do, is asked about an upright one."""
    asked = []

    def leaning(look: torch.Tensor) -> list[Face]:
        if look.shape[-1] != views.CLOSE or look.shape[-2] != views.CLOSE:
            points = torch.tensor([[140.0, 100], [170, 130], [140, 140], [110, 130], [140, 160]])
            return [Face((90.0, 80.0, 190.0, 180.0), points, 0.6)] if look.shape[-1] == 300 else []
        asked.append(look)
        points = torch.tensor([[130.0, 130], [190, 130], [160, 160], [135, 190], [185, 190]])
        return [Face((95.0, 95.0, 225.0, 225.0), points, 0.8)]

    (face,) = find_faces(torch.rand(3, 300, 300), [leaning])
    assert len(asked) == 1 and face.score == pytest.approx(0.8)
    assert abs(views.roll(face)) == pytest.approx(45, abs=1)


def test_faint_detections_are_dropped() -> None:
    image = drawn(300, 300, (100, 100, 60))
    assert find_faces(image, [Blocks(score=0.45)]) == []
    assert len(find_faces(image, [Blocks(score=0.45)], Search(min_score=0.4))) == 1


def test_a_box_ends_at_the_image() -> None:
    (face,) = find_faces(drawn(200, 200, (-30, 50, 100)), [Blocks(room=0)])
    assert face.box[0] == -0.5 or face.box[0] >= 0


def face(x: float, y: float, size: float, score: float, lift: float = 0.0) -> Face:
    places = torch.tensor([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    return Face((x, y, x + size, y + size), places * size + torch.tensor([x, y + lift]), score)


@pytest.mark.parametrize(
    ("faces", "kept"),
    [
        ([], []),
        ([face(0, 0, 10, 0.5)], [0]),
        ([face(0, 0, 10, 0.5), face(1, 0, 10, 0.9)], [1]),
        ([face(0, 0, 10, 0.5), face(4, 0, 10, 0.9)], [1]),
        ([face(0, 0, 10, 0.5), face(4, 0, 10, 0.9, lift=5)], [1, 0]),  # one behind another
        ([face(0, 0, 10, 0.5), face(9, 0, 10, 0.9)], [1, 0]),
        ([face(0, 0, 10, 0.9), face(9, 0, 20, 0.5)], [1, 0]),  # largest first
        ([face(0, 0, 100, 0.9), face(30, 30, 20, 0.8)], [0, 1]),  # somebody before the better one
        ([face(0, 0, 100, 0.9), face(2, 2, 16, 0.8)], [0, 1]),  # somebody behind, in the corner of the box
        ([face(0, 0, 100, 0.6), face(30, 30, 20, 0.8)], [0, 1]),  # a doubtful large one hides nobody
        # A tall box around the same points, as another detector draws it.
        ([face(0, 0, 20, 0.9), Face((-20.0, -30.0, 30.0, 24.0), face(0, 0, 20, 0.9).points + 1, 0.8)], [0]),
    ],
)
def test_who_is_one(faces: list[Face], kept: list[int]) -> None:
    assert [id(one) for one in merge_faces(faces)] == [id(faces[i]) for i in kept]


def test_overlap_and_suppression_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 11]])
    assert iou(boxes[0], boxes).tolist() == pytest.approx([1, 1 / 3, 0, 10 / 11])
    assert nms(boxes, torch.tensor([0.5, 0.6, 0.1, 0.9])) == [3, 1, 2]
    assert nms(boxes[:0], torch.zeros(0)) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_score": 0.1}, "min_score must be from 0.3 to 1, got 0.1"),
        ({"side": 32}, "side must be from 64 to 4096"),
        ({"smallest": 0}, "smallest must be from 4 to 512, got 0"),
        ({"turn": "maybe"}, "turn must be 'never'"),
    ],
)
def test_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Search(**settings)


def test_a_search_needs_a_detector_and_an_image() -> None:
    with pytest.raises(ValueError, match="no face detector was given"):
        find_faces(torch.rand(3, 8, 8), [])
    with pytest.raises(ValueError, match="expected one picture, got 2"):
        find_faces(torch.rand(2, 3, 8, 8), [Blocks()])
