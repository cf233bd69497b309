"""The audit with real judges on real photos: what blur and pixels hide from whom (run with -s to see the table)."""

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import interpolate

from revpers_core.audit.compare import ImagePair, compare
from revpers_core.audit.report import Report, report
from revpers_core.faces.detect import find_faces
from revpers_core.faces.detector import Detector
from revpers_core.faces.face import Face
from revpers_core.faces.judges import Judge
from revpers_core.faces.views import full_view

Photo = Callable[[str], torch.Tensor]
PEOPLE = ("obama", "biden", "astronaut")
SIDE = 640


def pixelated(image: torch.Tensor, face: Face, cells: int) -> torch.Tensor:
    """The face's box averaged over ``cells`` cells across."""
    out = image.clone()
    x0, y0, x1, y1 = (max(0, round(v)) for v in face.box)
    box = image[:, y0:y1, x0:x1]
    down = max(1, round(cells * box.shape[1] / box.shape[2]))
    small = interpolate(box[None], (down, cells), mode="area")
    out[:, y0:y1, x0:x1] = interpolate(small, tuple(box.shape[-2:]), mode="nearest")[0]
    return out


@pytest.fixture(scope="module")
def audit(
    photo: Photo, detectors: list[Detector], fr_feature: Judge, dlib: Judge
) -> Callable[[Callable[[torch.Tensor, Face], torch.Tensor]], Report]:
    photos = {name: full_view(photo(name), SIDE).pixels for name in PEOPLE}
    faces = {name: find_faces(image, detectors)[:1] for name, image in photos.items()}

    def run(change: Callable[[torch.Tensor, Face], torch.Tensor]) -> Report:
        pairs = [ImagePair(name, image, change(image, faces[name][0])) for name, image in photos.items()]
        known = {id(pair.original): faces[pair.name] for pair in pairs}
        judges = [fr_feature, dlib]
        return report(compare(pairs, judges, lambda image: known.get(id(image), [])), judges)

    return run


def known(found: Report) -> tuple[int, ...]:
    """How many of the three each judge still knows."""
    return tuple(sum(entry.known[k] for entry in found.faces) for k in range(len(found.judge_reports)))


def test_the_originals_are_known_to_both(audit) -> None:
    found = audit(lambda image, face: image)
    assert not found.passed and known(found) == (3, 3)
    assert all(name in found.verdict for name in PEOPLE)


def test_pixels_hide_from_one_judge_before_the_other(audit) -> None:
    """Coarser pixels never bring anyone back, 4 cells hide all three from both, 32 hide nobody from either."""
    counts = {
        cells: known(audit(lambda image, face, cells=cells: pixelated(image, face, cells))) for cells in (32, 16, 8, 4)
    }
    for cells, (arcface, dlib) in counts.items():
        print(f"| {cells} | {arcface} of {len(PEOPLE)} | {dlib} of {len(PEOPLE)} |")
    assert counts[32] == (3, 3) and counts[4] == (0, 0)
    for judge in (0, 1):
        in_order = [counts[cells][judge] for cells in (32, 16, 8, 4)]
        assert in_order == sorted(in_order, reverse=True)
