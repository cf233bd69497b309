"""The gallery, to nets that have nothing to do with us: its faces are faces, and its people are told apart."""

from itertools import combinations

import pytest
import torch
from torch.nn.functional import cosine_similarity

from revpers_core.faces.detect import find_faces
from revpers_core.faces.detector import Detector
from revpers_core.faces.judges import Judge
from revpers_core.media import gallery
from revpers_core.metrics.reidentification import auc

TWICE = [person for person in range(gallery.people()) if gallery.photos(person) > 1][:32]
"""People with two photos."""


def test_everyone_is_found_once_and_where_they_are(detectors: list[Detector]) -> None:
    gaps = []
    for person in range(gallery.people()):
        photo = gallery.photo(person)
        (face,) = find_faces(photo.pixels, detectors)
        across = (photo.face.points[1] - photo.face.points[0]).norm()
        gaps.append(float(((face.points - photo.face.points).norm(dim=-1) / across).mean()))
    print(f"{len(gaps)} photos, points {sum(gaps) / len(gaps):.3f} eye distances off")
    assert sum(gaps) / len(gaps) < 0.12


@pytest.mark.parametrize("number", range(gallery.groups()))
def test_a_group_is_found_whole(number: int, detectors: list[Detector]) -> None:
    shown = gallery.group_photo(number)
    found = find_faces(shown.pixels, detectors)
    middles = torch.stack([face.points.mean(0) for face in found])
    for face in shown.faces:
        across = (face.points[1] - face.points[0]).norm()
        assert (middles - face.points.mean(0)).norm(dim=-1).min() < 0.5 * across
    assert len(found) == len(shown.faces)


@pytest.mark.skipif(len(TWICE) < 16, reason="too few people with two photos")
@pytest.mark.parametrize("name", ["fr_feature", "dlib"])
def test_photos_of_one_person_are_more_alike_than_strangers(name: str, request: pytest.FixtureRequest) -> None:
    judge: Judge = request.getfixturevalue(name)
    photos = [gallery.photo(k, n) for k in TWICE for n in range(2)]
    seen = torch.stack([judge.embed(one.pixels, one.face) for one in photos])
    alike = cosine_similarity(seen[:, None], seen[None], dim=-1)
    pairs = list(combinations(range(len(seen)), 2))
    genuine = torch.stack([alike[a, b] for a, b in pairs if a // 2 == b // 2])
    strangers = torch.stack([alike[a, b] for a, b in pairs if a // 2 != b // 2])
    print(f"{name}: AUC {auc(genuine, strangers):.3f}")
    assert auc(genuine, strangers) > 0.95
