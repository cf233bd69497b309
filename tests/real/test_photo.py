"""A whole photo with real nets that find and judge, and stand-ins for the one that makes faces."""

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import interpolate

from revpers_core.faces.detect import find_faces
from revpers_core.faces.detector import Detector
from revpers_core.faces.geometry import face_for_recogniser
from revpers_core.faces.judges import ArcFaceJudge, Judge
from revpers_core.faces.views import full_view
from revpers_core.media.photo import FaceSampler, PhotoOptions, PhotoPorts, anonymize_photo, blurred
from revpers_core.media.strength import StillRecognisedError
from revpers_core.method.types import Identity

Photo = Callable[[str], torch.Tensor]


def coarse(crop: torch.Tensor, identity: Identity, index: int) -> FaceSampler:
    """The crop in 14 cells, 7 over the face: somebody's head, nobody's face."""
    small = interpolate(interpolate(crop, (14, 14), mode="area"), crop.shape[-2:], mode="bicubic").clamp(0, 1)
    return lambda guidance: small


def as_is(crop: torch.Tensor, identity: Identity, index: int) -> FaceSampler:
    return lambda guidance: crop


@pytest.fixture(scope="module")
def tools(detectors: list[Detector], fr_feature: ArcFaceJudge, dlib: Judge) -> Callable[..., PhotoPorts]:
    """fr_feature steers, dlib judges."""

    def embed(image, face):
        return fr_feature.model.identify(face_for_recogniser(image, face)[None])

    return lambda invert_face, judges=(dlib,): PhotoPorts(
        lambda one: find_faces(one, detectors), embed, invert_face, 256, judges
    )


def test_a_crowd_is_replaced_to_the_last_face(photo: Photo, tools: Callable[..., PhotoPorts]) -> None:
    image = photo("solvay-1024x705")
    done = anonymize_photo(image, tools(coarse, ()), PhotoOptions(-10.0))
    assert len(done.faces) >= 29 and all(one["verdict"] == "unverified" for one in done.faces)
    assert torch.equal(done.image[:, done.mask[0] == 0], image[:, done.mask[0] == 0])
    for one in done.faces:
        assert one["similarity_after"] is None or one["similarity_after"] < 0.75


def test_a_photo_is_handed_back_only_where_the_judge_sees_a_stranger(
    photo: Photo, tools: Callable[..., PhotoPorts], fr_feature: ArcFaceJudge
) -> None:
    image = full_view(photo("obama"), 640).pixels
    (one,) = anonymize_photo(image, tools(coarse), PhotoOptions(-10.0)).faces
    assert one["verdict"] == "not re-identified by 1 of 1 judges"
    with pytest.raises(StillRecognisedError, match="still recognised by dlib_resnet"):
        anonymize_photo(image, tools(as_is), PhotoOptions(-10.0))
    (one,) = anonymize_photo(image, tools(coarse, (fr_feature,)), PhotoOptions(-10.0)).faces
    assert one["verdict"] == "unverified: the judge is the recogniser that steered the run"


@pytest.mark.parametrize("name", ["obama", "biden", "astronaut"])
def test_a_photo_blurred_whole_hides_even_a_face_that_fills_it(
    name: str, photo: Photo, detectors: list[Detector], fr_feature: ArcFaceJudge, dlib: Judge
) -> None:
    image = photo(name)
    x0, y0, x1, y1 = map(round, find_faces(image, detectors)[0].box)
    tight = image[:, max(0, y0) : y1, max(0, x0) : x1]
    (face,) = find_faces(tight, detectors)
    for judge in (fr_feature, dlib):
        seen = judge.embed(tight, face)
        assert judge.same_person(seen, judge.embed(tight, face))
        assert not judge.same_person(seen, judge.embed(blurred(tight), face)), judge.name
