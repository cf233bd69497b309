"""Face templates, the fits between them, and aligned crops.

Points are (x, y) with pixel centres at whole numbers, as OpenCV and insightface have them; a transform is a (2, 3)
float64 matrix [a | b] with target = a @ source + b.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..method.pixels import check_pixels
from ..method.settings import CROP_FACTOR
from .face import Face
from .warp import blurred, inside, warp

ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Eyes, nose tip and mouth corners in the 112-pixel input of ArcFace recognisers (insightface)."""
FFHQ = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)
"""The same points in an aligned 512-pixel FFHQ crop (facexlib)."""
ALIGNED_BOX = (0.24, 0.22, 0.76, 0.87)
"""Where detectors' boxes lie in such a crop, in its sides."""
MIN_SIDE, MAX_SIDE = 64, 2048
BLUR = 24
"""A crop's side over the reach of the blur beyond the image."""


@dataclass(frozen=True)
class Crop:
    """An aligned square cut of one face.

    pixels: (3, S, S) float32 in [0, 1]. matrix: (2, 3), image to crop. face: where it was cut, in the image's pixels.
    inside: (1, S, S), 1 where the crop shows the image and 0 beyond its border.
    """

    pixels: Tensor
    matrix: Tensor
    face: Face
    inside: Tensor

    def __post_init__(self):
        side = self.pixels.shape[-1]
        if self.pixels.ndim != 3 or tuple(self.pixels.shape) != (3, side, side):
            raise ValueError(f"Crop.pixels must be (3, S, S), got {tuple(self.pixels.shape)}")
        if tuple(self.matrix.shape) != (2, 3):
            raise ValueError(f"Crop.matrix must be (2, 3), got {tuple(self.matrix.shape)}")
        if tuple(self.inside.shape) != (1, side, side):
            raise ValueError(f"Crop.inside must be (1, {side}, {side}), got {tuple(self.inside.shape)}")

    @property
    def side(self) -> int:
        return self.pixels.shape[-1]

    @property
    def points(self) -> Tensor:
        """The face's points (5, 2) in the crop's pixels."""
        return transform_points(self.matrix, self.face.points)


def shares(crops: Sequence[Crop]) -> Tensor:
    """Where crops have the five points, (B, 5, 2) in shares of their sides."""
    return torch.stack([((crop.points + 0.5) / crop.side).float() for crop in crops])


def fit_scale_shift(source: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """Least-squares scale and shift (2,) with target = scale * source + shift, for points (N, 2)."""
    a, b = source - source.mean(0), target - target.mean(0)
    scale = float((a * b).sum() / (a * a).sum())
    return scale, target.mean(0) - scale * source.mean(0)


def face_of_aligned(image: Tensor, size: int = 112) -> Tensor:
    """Cut an aligned crop (B, 3, S, S), framed as FFHQ's are, down to the face that ArcFace sees: (B, 3, size, size).

    The templates differ by scale and shift alone, so the cut is a square; it is resized with antialiasing.
    """
    side = image.shape[-1]
    scale, shift = fit_scale_shift(torch.tensor(FFHQ) / 512, torch.tensor(ARCFACE) / 112)
    left, top = (-shift / scale * side).round().int().tolist()
    extent = round(side / scale)
    cut = image[..., top : top + extent, left : left + extent]
    return interpolate(cut, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def similarity_transform(source: Tensor, target: Tensor) -> Tensor:
    """The rotation, scale and shift (2, 3) that bring points (N, 2) nearest to others, in least squares.

    Umeyama's fit (1991) without reflection, which in the plane is a regression of complex numbers: b = z * a. Raises
    ValueError where all source points are one.
    """
    a, b = source.double().cpu(), target.double().cpu()
    a_mean, b_mean = a.mean(0), b.mean(0)
    p, q = a - a_mean, b - b_mean
    spread = (p * p).sum()
    if not spread > 0:
        raise ValueError("the face's points are all in one place: no crop can be fitted to them")
    real = (p * q).sum() / spread
    imaginary = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / spread
    linear = torch.stack([torch.stack([real, -imaginary]), torch.stack([imaginary, real])])
    return torch.cat([linear, (b_mean - linear @ a_mean)[:, None]], 1)


def transform_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (N, 2) under a transform (2, 3), float64."""
    return points.double().cpu() @ matrix[:, :2].T + matrix[:, 2]


def framing(size: int, factor: float = 1.0) -> Tensor:
    """Where a crop of ``size`` pixels, ``factor`` times FFHQ's square, has the five points: (5, 2)."""
    points = (torch.tensor(FFHQ, dtype=torch.float64) + 0.5) * (size / 512) - 0.5
    return points / factor + (size - 1) / 2 * (1 - 1 / factor)


def face_in_aligned(image: Tensor) -> Face:
    """The face that an aligned square crop (3, S, S), framed as FFHQ's are, must show."""
    side = image.shape[-1]
    x0, y0, x1, y1 = (side * share for share in ALIGNED_BOX)
    return Face((x0, y0, x1, y1), framing(side).float(), 1.0)


def crop_face(image: Tensor, face: Face, size: int, factor: float = 1.0) -> Crop:
    """Aligned square crop of one face, framed as FFHQ's are, antialiased.

    Beyond the image's border, the border's pixels drawn out and blurred: mirroring, as FFHQ does, would give half a
    face a second half of its own (similarity to the whole face .88 so, .72 mirrored, fr_feature on obama_partial_face).
    image: (3, H, W) float32 in [0, 1]. size: pixels, a multiple of 8 from 64 to 2048. factor: 1 to 3 times FFHQ's
    square around the same middle.
    """
    check_image(image)
    if not MIN_SIDE <= size <= MAX_SIDE or size % 8:
        raise ValueError(
            f"the crop's size must be a multiple of 8 (a latent's pixel) from {MIN_SIDE} to {MAX_SIDE}, got {size}"
        )
    matrix = similarity_transform(face.points, framing(size, CROP_FACTOR.check("crop_factor", factor)))
    pixels = warp(image, matrix, (size, size)).clamp(0, 1)
    valid = inside(matrix, (size, size), image.shape[-2:]).to(pixels)
    if not valid.all():
        pixels = torch.where(valid > 0, pixels, blurred(pixels, size // BLUR))
    return Crop(pixels, matrix, face, valid)


def face_for_recogniser(image: Tensor, face: Face, size: int = 112) -> Tensor:
    """The face (3, size, size) as ArcFace recognisers take it: insightface's ``norm_crop``, but antialiased.

    image: (3, H, W) float32 in [0, 1]. Black beyond the image's border, as in their training.
    """
    check_image(image)
    matrix = similarity_transform(face.points, torch.tensor(ARCFACE) * (size / 112))
    return warp(image, matrix, (size, size), beyond="black").clamp(0, 1)


def check_image(image: Tensor) -> None:
    """Raises ValueError unless ``image`` is (3, H, W) floating point in [0, 1], finite and not empty."""
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise ValueError(f"an image must be (3, H, W), got {tuple(image.shape)}")
    check_pixels(image)
