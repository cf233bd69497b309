"""Finding, cutting, pasting and recognising real people with real nets."""

import math
from collections.abc import Callable
from itertools import combinations, pairwise
from types import ModuleType

import pytest
import torch

from revpers_core.faces.detect import Search, find_faces
from revpers_core.faces.detector import Detector
from revpers_core.faces.face import Face
from revpers_core.faces.geometry import crop_face, face_for_recogniser
from revpers_core.faces.judges import ArcFaceJudge, Judge
from revpers_core.faces.paste import footprint, paste
from revpers_core.faces.views import full_view, roll
from revpers_core.faces.warp import inverted, warp
from revpers_core.metrics.seam import seam

Photo = Callable[[str], torch.Tensor]
OBAMA = ("obama", "obama2", "obama3")
LARGEST = "solvay-2126x1463"


@pytest.mark.parametrize("name", ["solvay-640x440", "solvay-1024x705", "solvay-1280x881", LARGEST])
def test_all_29_of_solvay(name: str, photo: Photo, detectors: list[Detector]) -> None:
    faces = find_faces(photo(name), detectors)
    assert len(faces) == 29
    assert all(abs(roll(face)) < 30 for face in faces)
    assert all(a.area >= b.area for a, b in pairwise(faces))


@pytest.mark.parametrize(("side", "found"), [(512, 29), (400, 29), (320, 28)])
def test_small_faces_when_asked_for(side: int, found: int, photo: Photo, detectors: list[Detector]) -> None:
    """Faces of 11 and 9 pixels: enlarged where ``smallest`` asks for it."""
    faces = find_faces(full_view(photo(LARGEST), side).pixels, detectors, Search(smallest=8))
    assert found <= len(faces) <= 29


@pytest.mark.parametrize("name", [*OBAMA, "biden", "obama_partial_face", "obama_partial_face2", "astronaut", "camera"])
def test_one_person(name: str, photo: Photo, detectors: list[Detector]) -> None:
    """Frontal, half a face, and the photographer's profile."""
    (face,) = find_faces(photo(name), detectors)
    eyes, mouth = face.points[:2], face.points[3:]
    assert eyes[:, 1].max() < mouth[:, 1].min() and eyes[0, 0] < eyes[1, 0]


@pytest.mark.parametrize("name", ["coffee", "chelsea", "brick", "coins", "page", "text"])
def test_nobody(name: str, photo: Photo, detectors: list[Detector]) -> None:
    assert find_faces(photo(name), detectors) == []


@pytest.mark.parametrize("margin", [-0.1, 0, 0.1])
@pytest.mark.parametrize("zoom", [1, 4, 10])
def test_tight_crops(margin: float, zoom: int, photo: Photo, detectors: list[Detector]) -> None:
    image = photo("astronaut")
    x0, y0, x1, y1 = find_faces(image, detectors)[0].box
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    tight = image[:, round(y0 - dy) : round(y1 + dy), round(x0 - dx) : round(x1 + dx)]
    (face,) = find_faces(full_view(tight, max(tight.shape) * zoom).pixels, detectors)
    assert face.area > 0.6 * tight.shape[-1] * tight.shape[-2] * zoom**2


@pytest.mark.parametrize("degrees", [15, 30, 45, 60, 75, 90, 135, 180, 270])
def test_tilted_faces(degrees: int, photo: Photo, detectors: list[Detector]) -> None:
    """The photo turned about its middle: the same points, turned."""
    image = photo("astronaut")
    (before,) = find_faces(image, detectors)
    a, b = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[a, -b, 0.0], [b, a, 0.0]], dtype=torch.float64)
    turn[:, 2] = torch.tensor([380.0, 380.0]) - turn[:, :2] @ torch.tensor([255.5, 255.5], dtype=torch.float64)
    faces = find_faces(warp(image, turn, (760, 760), beyond="black").clamp(0, 1), detectors)
    assert len(faces) == 1
    there = faces[0].points.double() @ inverted(turn)[:, :2].T + inverted(turn)[:, 2]
    apart = (before.points[1] - before.points[0]).norm()
    assert ((there - before.points).norm(dim=-1) / apart).max() < 0.12


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_cut_then_paste_gives_everyone_back(size: int, photo: Photo, detectors: list[Detector]) -> None:
    image = photo("solvay-1024x705")
    out, covered = image, torch.zeros(1, *image.shape[-2:])
    for face in find_faces(image, detectors):
        crop = crop_face(image, face, size)
        out, covered = paste(out, crop, crop.pixels), torch.maximum(covered, footprint(image, crop))
    assert (out - image).abs().max() <= 1 / 255
    outside = (covered == 0).expand_as(image)
    assert torch.equal(out[outside], image[outside])


@pytest.mark.parametrize("size", [128, 512, 1024])
@pytest.mark.parametrize("match", [False, True])
def test_no_seam(size: int, match: bool, photo: Photo, detectors: list[Detector]) -> None:
    """A crop in another light with noise of its own: the jump along the mask's edge stays within 10% of the photo's."""
    for name in ("obama", "biden", "astronaut"):
        image = photo(name)
        crop = crop_face(image, find_faces(image, detectors)[0], size)
        noise = 0.02 * torch.randn(crop.pixels.shape, generator=torch.Generator().manual_seed(0))
        out = paste(image, crop, crop.pixels * 0.9 + 0.08 + noise, match=match)
        assert seam(out, image, footprint(image, crop)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("which", ["fr_feature", "dlib"])
def test_judges_know_who_is_who(
    which: str, request: pytest.FixtureRequest, photo: Photo, detectors: list[Detector]
) -> None:
    judge: Judge = request.getfixturevalue(which)
    people = {}
    for name in (*OBAMA, "obama_partial_face2", "biden", "astronaut"):
        image = photo(name)
        people[name] = judge.embed(image, find_faces(image, detectors)[0])
    for a, b in combinations(people, 2):
        same = a[:5] == b[:5]
        assert judge.same_person(people[a], people[b]) is same, (a, b, judge.similarity(people[a], people[b]))


@pytest.mark.parametrize("degrees", [40, 180])
@pytest.mark.parametrize("which", ["fr_feature", "dlib"])
def test_judges_know_turned_people(
    which: str, degrees: int, request: pytest.FixtureRequest, photo: Photo, detectors: list[Detector]
) -> None:
    judge: Judge = request.getfixturevalue(which)
    image = photo("obama")
    a, b = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[a, -b, 0.0], [b, a, 0.0]], dtype=torch.float64)
    turn[:, 2] = 700 - turn[:, :2] @ torch.tensor([455.0, 400.0], dtype=torch.float64)
    leaning = warp(image, turn, (1400, 1400)).clamp(0, 1)
    face, other = find_faces(image, detectors)[0], find_faces(leaning, detectors)[0]
    assert judge.similarity(judge.embed(image, face), judge.embed(leaning, other)) > (0.8 if which != "dlib" else -0.3)


def test_our_alignment_is_as_good_as_insightfaces(
    insightface: ModuleType, fr_feature: ArcFaceJudge, photo: Photo, detectors: list[Detector]
) -> None:
    """Same-person similarity by our alignment is that by ``norm_crop``, to 0.02, on large and on small photos."""
    ours, expected = [], []
    for name in OBAMA:
        for side in (2000, 500, 250):
            image = full_view(photo(name), side).pixels
            face = find_faces(image, detectors)[0]
            pixels = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            plain = (
                torch.from_numpy(insightface.utils.face_align.norm_crop(pixels, face.points.numpy()))
                .permute(2, 0, 1)
                .float()
                / 255
            )
            ours.append(fr_feature.model.features(face_for_recogniser(image, face)[None])[0])
            expected.append(fr_feature.model.features(plain[None])[0])
    pairs = list(combinations(range(len(ours)), 2))
    mean = [sum(fr_feature.similarity(e[a], e[b]) for a, b in pairs) / len(pairs) for e in (ours, expected)]
    print(f"same person, {len(pairs)} pairs: ours {mean[0]:.4f}, insightface's {mean[1]:.4f}")
    assert mean[0] >= mean[1] - 0.02


def test_two_detectors_find_no_one_twice(photo: Photo, detectors: list[Detector]) -> None:
    """The same net with its points and boxes off by a tenth of the face, as another net's are."""

    def other(image: torch.Tensor) -> list[Face]:
        return [
            Face(tuple(v + 0.1 * face.area**0.5 for v in face.box), face.points + 0.08 * face.area**0.5, face.score)
            for face in detectors[0](image)
        ]

    assert len(find_faces(photo("solvay-1024x705"), [*detectors, other])) == 29
