"""Fits, crops and resampling against what can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import (
    ARCFACE,
    crop_face,
    face_for_recogniser,
    framing,
    similarity_transform,
    transform_points,
)
from revpers_core.faces.warp import inside, inverted, resized, scale_of, warp


def transform(degrees: float, scale: float, x: float, y: float) -> torch.Tensor:
    a, b = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return torch.tensor([[a, -b, x], [b, a, y]], dtype=torch.float64)


def face_at(degrees: float, scale: float, x: float, y: float) -> Face:
    """A face whose points are those of a 64-pixel crop, moved."""
    points = transform_points(transform(degrees, scale, x, y), framing(64)).float()
    low, high = points.amin(0).tolist(), points.amax(0).tolist()
    return Face((low[0] - 9 * scale, low[1] - 16 * scale, high[0] + 9 * scale, high[1] + 12 * scale), points, 0.9)


def waves(height: int, width: int, period: float) -> torch.Tensor:
    """A picture (3, H, W) of cosines that run across, down and aslant."""
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    return 0.5 + 0.4 * torch.stack([torch.cos(2 * math.pi * way / period) for way in (x, y, (x + y) / math.sqrt(2))])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("points", torch.zeros(4, 2), r"Face.points must be \(5, 2\), got \(4, 2\)"),
        ("points", torch.full((5, 2), math.nan), "Face.points holds NaN"),
        ("box", (0.0, 0.0, 1.0), r"Face.box must be \(x0, y0, x1, y1\), got 3 numbers"),
        ("box", (5.0, 0.0, 5.0, 9.0), "x0 < x1"),
        ("box", (0.0, 0.0, math.inf, 9.0), "finite"),
        ("score", 1.5, "Face.score must be from 0 to 1, got 1.5"),
        ("score", math.nan, "Face.score must be from 0 to 1"),
    ],
)
def test_a_face_is_checked(field: str, value: object, message: str) -> None:
    good = {"box": (0.0, 0.0, 9.0, 9.0), "points": torch.zeros(5, 2), "score": 0.5}
    assert Face(**good).area == 81
    with pytest.raises(ValueError, match=message):
        Face(**{**good, field: value})


@pytest.mark.parametrize("move", [(0, 1, 0, 0), (30, 2, 5, -3), (90, 0.1, 0, 0), (180, 1, 4, 4), (-135, 7, -90, 1)])
def test_a_similarity_is_found_again(move: tuple[float, ...]) -> None:
    there = transform(*move)
    found = similarity_transform(framing(512), transform_points(there, framing(512)))
    assert torch.allclose(found, there, atol=1e-9)
    assert torch.allclose(transform_points(inverted(found), transform_points(found, framing(512))), framing(512))


def test_the_fit_is_umeyamas() -> None:
    """Against the paper's form, by singular values, on points that no similarity fits exactly."""
    draw = np.random.default_rng(0)
    for _ in range(20):
        a, b = draw.normal(size=(5, 2)), draw.normal(size=(5, 2))
        p, q = a - a.mean(0), b - b.mean(0)
        u, d, vt = np.linalg.svd(q.T @ p / 5)
        sign = np.diag([1, np.linalg.det(u) * np.linalg.det(vt)])
        turn = u @ sign @ vt
        linear = turn * (np.diag(d) @ sign).trace() / p.var(0).sum()
        found = similarity_transform(torch.tensor(a), torch.tensor(b)).numpy()
        assert found[:, :2] == pytest.approx(linear)
        assert found[:, 2] == pytest.approx(b.mean(0) - linear @ a.mean(0))


def test_points_in_one_place_are_an_error() -> None:
    with pytest.raises(ValueError, match="all in one place"):
        similarity_transform(torch.ones(5, 2), framing(64))


@pytest.mark.parametrize("degrees", [0, 20, -90, 180])
@pytest.mark.parametrize("size", [64, 200])
def test_a_crop_shows_what_is_there(degrees: float, size: int) -> None:
    """Each pixel of the crop is the picture at the place the matrix says, for waves longer than its pixels."""
    face = face_at(degrees, 2.0, 150, 150)
    image = waves(300, 300, 24)
    crop = crop_face(image, face, size)
    assert torch.allclose(crop.points, framing(size), atol=1e-3)
    y, x = torch.meshgrid(torch.arange(size).double(), torch.arange(size).double(), indexing="ij")
    there = transform_points(inverted(crop.matrix), torch.stack([x.flatten(), y.flatten()], -1))
    x, y = (v.reshape(size, size) for v in there.T)
    truth = 0.5 + 0.4 * torch.stack([torch.cos(2 * math.pi * v / 24) for v in (x, y, (x + y) / math.sqrt(2))])
    seen = (crop.inside[0] == 1) & (x > 4) & (x < 295) & (y > 4) & (y < 295)
    assert seen.any()
    # Cubic filters dim a wave of 12 target pixels a little, no more.
    assert (crop.pixels - truth)[:, seen].abs().max() < (0.02 if size == 200 else 0.05)


@pytest.mark.parametrize(("period", "left"), [(3.0, 0.0), (5.0, 0.0), (40.0, 1.0)])
@pytest.mark.parametrize("degrees", [0, 33])
def test_downscaling_does_not_alias(period: float, left: float, degrees: float) -> None:
    """At a scale of 1/8, waves under 16 source pixels cannot be shown and must vanish; longer ones must stay."""
    image = waves(640, 640, period)
    turn = transform(degrees, 1 / 8, 0, 0)
    turn[:, 2] = 20 - turn[:, :2] @ turn.new_tensor([320, 320])
    small = warp(image, turn, (40, 40))[:, 10:30, 10:30]
    contrast = (small - small.mean((1, 2), keepdim=True)).std((1, 2)) * math.sqrt(2) / 0.4
    assert (contrast < 0.02).all() if left == 0 else (contrast > 0.6).all()


def test_plain_sampling_would_alias() -> None:
    """The measure above does tell: without the filter the same waves come back as others."""
    picked = waves(640, 640, 5)[:, ::8, ::8][:, 10:30, 10:30]
    assert (picked.std((1, 2)) * math.sqrt(2) / 0.4 > 0.5).all()


def test_a_crop_factor_shows_more_around_the_same_middle() -> None:
    face, image = face_at(20, 2.0, 150, 150), waves(400, 400, 40)
    usual, wide = crop_face(image, face, 128), crop_face(image, face, 128, 2.0)
    assert torch.equal(crop_face(image, face, 128, 1.0).pixels, usual.pixels)
    middle = torch.tensor([[63.5, 63.5]])
    there = [transform_points(inverted(crop.matrix), middle) for crop in (usual, wide)]
    assert torch.allclose(*there, atol=1e-6)
    assert torch.allclose(wide.matrix[:, :2] * 2, usual.matrix[:, :2])
    for factor in (0.9, 3.1, float("nan")):
        with pytest.raises(ValueError, match="crop_factor must be from 1 to 3"):
            crop_face(image, face, 128, factor)


def test_borders_are_drawn_out_and_told() -> None:
    image = torch.rand(3, 80, 80, generator=torch.Generator().manual_seed(0))
    corner = crop_face(image, face_at(0, 1, -32, -32), 64)
    assert corner.inside.mean() == pytest.approx(0.25, abs=0.02)
    assert torch.allclose(corner.pixels[:, 32:, 32:], image[:, :32, :32], atol=1e-3)
    assert corner.pixels[:, :24, :24].std((1, 2)).max() < 0.05
    drawn = warp(image, transform(0, 1, 32, 32), (64, 64))
    assert torch.allclose(drawn[:, 34:, :30], drawn[:, 34:, 32:33].expand(-1, -1, 30), atol=1e-3)
    black = warp(image, transform(0, 1, 32, 32), (64, 64), beyond="black")
    assert black[:, :30, :30].abs().max() == 0
    assert inside(transform(0, 1, 32, 32), (64, 64), (80, 80)).sum() == 32 * 32
    assert warp(image, transform(0, 1, 9000, 0), (8, 8), beyond="black").abs().max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2)])
def test_tiny_images_are_cut(shape: tuple[int, int]) -> None:
    crop = crop_face(torch.full((3, *shape), 0.25), face_at(10, 0.5, 0, 0), 64)
    assert torch.allclose(crop.pixels, torch.tensor(0.25), atol=1e-6)


def test_a_very_large_face_needs_little_memory() -> None:
    """A face larger than the photo it is in: bands, never all that lies around at once."""
    crop = crop_face(torch.full((3, 1500, 1500), 0.5), face_at(45, 100, 750, 0), 64)
    assert torch.allclose(crop.pixels, torch.tensor(0.5), atol=1e-6)


@pytest.mark.parametrize("size", [(7, 50), (100, 100), (200, 31)])
def test_resizing_keeps_the_mean(size: tuple[int, int]) -> None:
    image = waves(100, 100, 25)
    assert resized(image, size).shape == (3, *size)
    assert torch.allclose(resized(image, size).mean((1, 2)), image.mean((1, 2)), atol=0.02)
    if size == (100, 100):
        assert torch.equal(resized(image, size), image)


def test_the_recognisers_face_is_where_arcface_has_it() -> None:
    """A dot on each point comes out on the template's."""
    face = face_at(25, 3, 100, 60)
    y, x = torch.meshgrid(torch.arange(300).float(), torch.arange(300).float(), indexing="ij")
    for (px, py), (tx, ty) in zip(face.points.tolist(), ARCFACE, strict=True):
        image = torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 18).expand(3, -1, -1)
        seen = face_for_recogniser(image, face)[0]
        fitted = transform_points(similarity_transform(face.points, torch.tensor(ARCFACE)), torch.tensor([[px, py]]))[0]
        at = divmod(int(seen.argmax()), 112)
        assert (at[1], at[0]) == (pytest.approx(float(fitted[0]), abs=1), pytest.approx(float(fitted[1]), abs=1))
        assert (at[1], at[0]) == (pytest.approx(tx, abs=4), pytest.approx(ty, abs=4))


@pytest.mark.parametrize(
    ("image", "size", "message"),
    [
        (torch.rand(1, 3, 80, 80), 64, r"must be \(3, H, W\), got \(1, 3, 80, 80\)"),
        (torch.rand(4, 80, 80), 64, r"got \(4, 80, 80\)"),
        (torch.rand(3, 0, 80), 64, r"got \(3, 0, 80\)"),
        (torch.zeros(3, 80, 80, dtype=torch.uint8), 64, "floating point"),
        (torch.rand(3, 80, 80), 56, "from 64 to 2048, got 56"),
        (torch.rand(3, 80, 80), 100, "a multiple of 8"),
        (torch.rand(3, 80, 80), 4096, "from 64 to 2048, got 4096"),
    ],
)
def test_bad_images_and_sizes_are_refused(image: torch.Tensor, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crop_face(image, face_at(0, 1, 0, 0), size)


def test_scale_is_read_from_the_matrix() -> None:
    assert scale_of(transform(77, 0.3, 1, 2)) == pytest.approx(0.3)
