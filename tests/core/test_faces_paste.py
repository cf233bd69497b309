"""Pasting: nothing where nothing changed, nothing outside the mask, nothing of the source under a new face."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import Crop, crop_face, framing, transform_points
from revpers_core.faces.keep import part_masks
from revpers_core.faces.masks import face_mask, parts_mask
from revpers_core.faces.paste import changed, footprint, matched, paste
from revpers_core.method.pixels import grey, is_grey
from revpers_core.metrics.seam import jump, seam

PLACES = {
    "small": (0, 0.5, 100, 100),
    "large": (0, 3.5, 20, 20),
    "turned": (140, 2, 180, 200),
    "at the border": (20, 2, -40, 120),
    "larger than the photo": (-10, 9, -150, -150),
}


def photo(seed: int = 0, side: int = 260) -> torch.Tensor:
    """Coarse and fine detail, in 8-bit steps as photos have it."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 9, 9, generator=draw), (side, side), mode="bicubic")[0]
    image = (coarse * 0.7 + 0.1 + 0.1 * torch.rand(3, side, side, generator=draw)).clamp(0, 1)
    return (image * 255).round() / 255


def face_at(degrees: float, scale: float, x: float, y: float) -> Face:
    a, b = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    points = transform_points(torch.tensor([[a, -b, x], [b, a, y]], dtype=torch.float64), framing(64)).float()
    (mx, my), half = points.mean(0).tolist(), 14 * scale
    return Face((mx - half, my - 1.3 * half, mx + half, my + 1.3 * half), points, 0.9)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Face:
    return face_at(*PLACES[request.param])


@pytest.mark.parametrize("size", [64, 256])
def test_cut_then_paste_gives_the_photo_back(place: Face, size: int) -> None:
    image = photo()
    crop = crop_face(image, place, size)
    back = paste(image, crop, crop.pixels)
    assert (back - image).abs().max() <= 1 / 255
    assert torch.equal((back * 255).round(), image * 255)
    assert torch.equal(paste(image, crop, crop.pixels, match=True), back)


@pytest.mark.parametrize("match", [False, True])
def test_nothing_changes_outside_the_mask(place: Face, match: bool) -> None:
    image = photo()
    crop = crop_face(image, place, 128)
    before = image.clone()
    out = paste(image, crop, 1 - crop.pixels, match=match)
    covered = footprint(image, crop).expand_as(image) > 0
    assert torch.equal(out[~covered], image[~covered])
    assert torch.equal(image, before)
    assert (out != image)[covered].float().mean() > 0.5
    assert out.min() >= 0 and out.max() <= 1


@pytest.mark.parametrize("size", [64, 128])
def test_no_detail_of_the_source_stays_on_a_new_face(size: int) -> None:
    """A face of stripes finer than the crop: pasting a difference alone would leave them on the new one."""
    image = torch.full((3, 400, 400), 0.5)
    image[:, :, ::2] = 1.0
    image[:, :, 1::2] = 0.0
    crop = crop_face(image, face_at(0, 6, 10, 10), size)
    out = paste(image, crop, torch.full_like(crop.pixels, 0.3))
    core = footprint(image, crop).expand_as(image) > 0.999
    assert core.sum() > 10_000
    assert (out[core] - 0.3).abs().max() < 1e-3


def test_a_second_face_is_pasted_over_the_first() -> None:
    image = photo()
    first, second = (crop_face(image, face_at(0, 2, x, 60), 128) for x in (20, 60))
    out = paste(paste(image, first, torch.zeros(3, 128, 128)), second, torch.ones(3, 128, 128))
    assert out[:, (footprint(image, second) > 0.999)[0]].min() > 0.99


def test_a_keep_mask_confines_the_change() -> None:
    image = photo()
    crop = crop_face(image, face_at(0, 3, 30, 30), 128)
    mask = face_mask(crop) * (1 - parts_mask(crop))
    out = paste(image, crop, 1 - crop.pixels, mask)
    for x, y in crop.face.points[[0, 1, 3, 4]].round().long().tolist():
        assert (out[:, y - 1 : y + 2, x - 1 : x + 2] - image[:, y - 1 : y + 2, x - 1 : x + 2]).abs().max() <= 1 / 255
    x, y = crop.face.points[2].round().long().tolist()
    assert (out[:, y, x] - image[:, y, x]).abs().max() > 0.05
    assert parts_mask(crop, ()).max() == 0
    assert (parts_mask(crop, ("eyes",)) <= parts_mask(crop, ("eyes", "mouth"))).all()
    assert torch.equal(parts_mask(crop, ("face",)), face_mask(crop))


def test_the_mask_is_a_face(place: Face) -> None:
    crop = crop_face(photo(), place, 96)
    mask = face_mask(crop)
    assert mask.shape == (1, 96, 96) and mask.min() >= 0 and mask.max() <= 1
    assert max(mask[0, 0].max(), mask[0, -1].max(), mask[0, :, 0].max(), mask[0, :, -1].max()) == 0
    assert (mask[crop.inside == 0] == 0).all()
    for x, y in crop.points.round().long().tolist():
        assert mask[0, y, x] == crop.inside[0, y, x]
    steps = torch.cat([mask.diff(dim=-1).flatten(), mask.diff(dim=-2).flatten()]).abs()
    assert crop.inside.mean() < 1 or steps.max() < 0.4


def test_colours_are_matched_to_the_surround() -> None:
    """A new crop in another light (gain and offset in linear light) is brought back to the old one's."""
    crop = crop_face(photo() * 0.5 + 0.2, face_at(0, 3, 30, 30), 128)
    mask = face_mask(crop)
    linear = ((crop.pixels + 0.055) / 1.055) ** 2.4
    other = 1.055 * (linear * torch.tensor([0.8, 1.2, 0.9])[:, None, None] + 0.03) ** (1 / 2.4) - 0.055
    assert (other - crop.pixels).abs().mean() > 0.03
    assert (matched(other, crop.pixels, mask) - crop.pixels).abs().max() < 1e-3
    assert torch.equal(matched(crop.pixels, crop.pixels, mask), crop.pixels)
    assert torch.equal(matched(other, crop.pixels, torch.ones_like(mask)), other)


def test_changes_are_told_from_none() -> None:
    old = torch.full((3, 64, 64), 0.5)
    new = old.clone()
    new[:, 30:34, 30:34] = 0.9
    change = changed(new, old)
    assert change.shape == (1, 64, 64) and change[0, 31, 31] == 1 and change[0, :20].max() == 0
    assert changed(old, old).max() == 0


def test_a_seam_is_measured() -> None:
    image = photo()
    crop = crop_face(image, face_at(10, 3, 30, 30), 128)
    new = (crop.pixels * 0.8 + 0.25).clamp(0, 1)
    mask = footprint(image, crop)
    assert seam(paste(image, crop, new), image, mask) == pytest.approx(1, abs=0.1)
    hard = torch.where(mask > 0, (image * 0.8 + 0.25).clamp(0, 1), image)
    assert seam(hard, image, mask) > 1.5
    assert seam(image, image, mask) == 1


def test_a_jump_by_hand() -> None:
    image, mask = torch.zeros(3, 4, 4), torch.zeros(1, 4, 4)
    image[:, :, 2:], mask[:, :, 2:] = 0.5, 1.0
    assert jump(image, mask) == pytest.approx(0.5)
    assert seam(image, torch.zeros(3, 4, 4), mask) == pytest.approx(0.5 * 255)
    with pytest.raises(ValueError, match="no edge"):
        jump(image, torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match="sizes differ"):
        seam(image, torch.zeros(3, 5, 4), mask)


@pytest.mark.parametrize(
    ("pixels", "mask", "message"),
    [
        (torch.zeros(3, 32, 32), None, r"the pixels must be \(3, 64, 64\).*got \(3, 32, 32\)"),
        (torch.full((3, 64, 64), math.nan), None, "NaN"),
        (torch.zeros(3, 64, 64), torch.ones(64, 64), r"the mask must be \(1, 64, 64\)"),
    ],
)
def test_what_does_not_fit_is_refused(pixels: torch.Tensor, mask: torch.Tensor | None, message: str) -> None:
    image = photo(side=100)
    with pytest.raises(ValueError, match=message):
        paste(image, crop_face(image, face_at(0, 1, 0, 0), 64), pixels, mask)


@pytest.mark.parametrize(
    ("pixels", "matrix", "inside", "message"),
    [
        (torch.zeros(3, 64, 65), torch.zeros(2, 3), torch.ones(1, 65, 65), r"Crop.pixels must be \(3, S, S\)"),
        (torch.zeros(3, 64, 64), torch.zeros(3, 3), torch.ones(1, 64, 64), r"Crop.matrix must be \(2, 3\)"),
        (torch.zeros(3, 64, 64), torch.zeros(2, 3), torch.ones(64, 64), r"Crop.inside must be \(1, 64, 64\)"),
    ],
)
def test_a_crop_is_checked(pixels: torch.Tensor, matrix: torch.Tensor, inside: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Crop(pixels, matrix, face_at(0, 1, 0, 0), inside)


def test_a_face_out_of_the_photo_changes_nothing() -> None:
    image = photo(side=100)
    crop = crop_face(image, face_at(0, 1, 500, 500), 64)
    assert torch.equal(paste(image, crop, torch.zeros(3, 64, 64)), image)
    assert footprint(image, crop).max() == 0


def detail(image: Tensor, at: Tensor) -> Tensor:
    """A window of 9 x 9 pixels without its mean colour and length."""
    x, y = at.round().long().tolist()
    window = image[:, y - 4 : y + 5, x - 4 : x + 5]
    window = window - window.mean((1, 2), keepdim=True)
    return window / window.norm()


def test_kept_parts_have_the_photos_detail_in_the_new_faces_colours() -> None:
    """A window of the old colour would show as goggles."""
    image = photo() * 0.5 + 0.4
    crop = crop_face(image, face_at(0, 3, 30, 30), 128)
    new = crop.pixels.flip(-1) * image.new_tensor([0.5, 0.4, 0.3])[:, None, None]
    plain, kept = paste(image, crop, new), paste(image, crop, new, keep=("eyes", "mouth"))
    for place in crop.face.points[[0, 1]]:
        assert (detail(kept, place) * detail(image, place)).sum() > 0.75
        assert (detail(plain, place) * detail(image, place)).sum() < 0.7
    masks = part_masks(crop, ("eyes", "mouth"))
    around = torch.stack(masks).amax(0)
    rim = ((around > 0.2) & (around < 0.8)).expand_as(new)
    back = crop_face(kept, crop.face, 128).pixels
    assert (back - new).abs()[rim].mean() < 0.5 * (back - crop.pixels).abs()[rim].mean()
    assert all(mask.max() > 0.99 and (mask > 0.99).sum() < 0.5 * (mask > 0.01).sum() for mask in masks), "hard edges"


@pytest.mark.parametrize("wishes", [{}, {"match": True}, {"keep": ("eyes", "mouth")}])
def test_a_black_and_white_photo_stays_one(wishes: dict[str, Any]) -> None:
    image = grey(photo())
    crop = crop_face(image, face_at(0, 3, 30, 30), 128)
    out = paste(image, crop, torch.rand(3, 128, 128), **wishes)
    assert is_grey(out) and not torch.equal(out, image)
    tinted = image + image.new_tensor([0.01, 0.0, 0.0])[:, None, None]
    assert not is_grey(paste(tinted.clamp(0, 1), crop, torch.rand(3, 128, 128), **wishes))
