"""Pixels that are none (NaN, infinite, 0...255) are an error at every door of the library; others are converted."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from revpers_core import Plan, ReversePersonalizationPipeline, images, pocket
from revpers_core.faces import detect, geometry, paste, recognise
from revpers_core.faces.geometry import face_in_aligned
from revpers_core.media import gallery
from revpers_core.media.photo import PhotoOptions, PhotoPorts, anonymize_or, anonymize_photo
from revpers_core.method.identity import null_identity
from revpers_core.method.pixels import as_image, as_images, check_pixels, grey, is_grey

BROKEN = {
    "NaN": (float("nan"), "NaN or infinite"),
    "infinite": (float("inf"), "NaN or infinite"),
    "minus infinite": (float("-inf"), "NaN or infinite"),
    "0-255": (255.0, "divide by 255"),
    "-1 to 1": (-1.0, r"from -1 to .*in \[0, 1\]"),
}


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    return gallery.aligned_face(3, 0)


@pytest.fixture(scope="module")
def doors(face):
    """Every public function that takes a picture (3, H, W)."""
    pipeline, detector = ReversePersonalizationPipeline.from_pocket(), detect.load(pocket.DETECTOR)
    place, model = face_in_aligned(face), recognise.load(pocket.FACE_MODEL)
    crop = geometry.crop_face(face, place, 64)

    def never(*_):
        raise AssertionError("a broken picture must not come so far")

    tools, wishes = PhotoPorts(never, never, never, 128), PhotoOptions(-10.0)
    return {
        "pipeline.anonymize": lambda image: pipeline.anonymize(image[None], Plan(steps=2)),
        "pipeline.embed": lambda image: pipeline.embed(image[None]),
        "pipeline.encode": lambda image: pipeline.encode(image[None]),
        "face_inverter": lambda image: pipeline.face_inverter(Plan(steps=2))(image[None], null_identity(1), 0),
        "find_faces": lambda image: detect.find_faces(image, [detector]),
        "anonymize_photo": lambda image: anonymize_photo(image, tools, wishes),
        "blur": lambda image: anonymize_or("blur", image, tools, wishes),
        "pass": lambda image: anonymize_or("pass", image, tools, wishes),
        "crop_face": lambda image: geometry.crop_face(image, place, 64),
        "face_for_recogniser": lambda image: geometry.face_for_recogniser(image, place),
        "paste": lambda image: paste.paste(image, crop, crop.pixels),
        "pasted": lambda image: paste.paste(face, crop, image[:, :64, :64]),
        "identify": lambda image: model.identify(image[None, :, :112, :112]),
        "to_pil": images.to_pil,
    }


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_pixel_is_an_error_at_every_door(kind, doors, face):
    value, words = BROKEN[kind]
    image = face.clone()
    image[1, 0, 0] = value
    passed = []
    for name, door in doors.items():
        try:
            door(image)
            passed.append(name)
        except ValueError as error:
            if not re.search(words, str(error)):
                passed.append(f"{name}: {error}")
    assert not passed


@pytest.mark.parametrize(
    "give",
    [
        lambda face: face.half(),
        lambda face: face.double(),
        lambda face: torch.cat([face, torch.rand(1, 128, 128)]),
        lambda face: face[None],
        lambda face: (face * 255).round().byte(),
        lambda face: face.permute(1, 2, 0).numpy(),
        lambda face: face.permute(1, 2, 0).double().numpy(),
        lambda face: [face],
        lambda face: [face.permute(1, 2, 0).numpy()],
        lambda face: Image.fromarray((face * 255).round().byte().permute(1, 2, 0).contiguous().numpy()),
    ],
    ids=["float16", "float64", "RGBA", "batch", "uint8", "numpy", "numpy64", "list", "list of numpy", "PIL"],
)
def test_other_kinds_of_the_same_picture_are_converted(give, face):
    result = as_image(give(face))
    assert result.shape == (3, 128, 128) and result.dtype == torch.float32
    assert (result - face).abs().max() < 0.003


def test_grey_becomes_three_equal_colours(face):
    grey = face.mean(0, keepdim=True)
    for given in (grey, grey[0].numpy(), torch.cat([grey, torch.ones(1, 128, 128)])):
        assert torch.equal(as_image(given), grey.expand(3, -1, -1))


def test_what_filters_overshoot_is_cut(face):
    image = face.clone()
    image[0, 0, :2] = torch.tensor([-0.1, 1.1])
    assert as_image(image)[0, 0, :2].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "the list is empty"),
        ([0.5, 0.2], "image 1: expected a tensor, a numpy array, a PIL picture or a list of these, got float"),
        ("photo.png", "expected a tensor, a numpy array"),
        (torch.rand(128, 128, 3), r"expected \(B, 3, H, W\).*permute"),
        (np.random.rand(3, 64, 65), r"expected \(H, W, 3\).*permute"),
        (torch.zeros(0, 3, 8, 8), "the batch is empty"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "not known: give floats"),
        ([torch.rand(3, 8, 8), torch.rand(3, 9, 9)], "one size"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(given, words):
    with pytest.raises(ValueError, match=words):
        as_images(given)


def test_several_are_not_one():
    with pytest.raises(ValueError, match="expected one picture, got 2"):
        as_image(torch.rand(2, 3, 8, 8))
    check_pixels(torch.rand(7))


def test_an_array_is_anonymized_as_its_tensor_is(face):
    pipeline = ReversePersonalizationPipeline.from_pocket()
    plan = Plan(steps=3, skip=0.5, guidance=-6.0)
    result = [pipeline.anonymize(given, plan).image for given in (face[None], [face.permute(1, 2, 0).numpy()])]
    assert torch.equal(*result)


def test_a_black_and_white_face_comes_back_in_black_and_white(face: torch.Tensor) -> None:
    pipe = ReversePersonalizationPipeline.from_pocket()
    both = torch.stack([grey(face), face])
    out = pipe.anonymize(both, Plan(steps=4, skip=0.5, guidance=-8.0)).image
    assert [is_grey(one) for one in (*both, *out)] == [True, False, True, False]
