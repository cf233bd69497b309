"""Pictures on disk: read as they are meant to be seen, written without a word about where they come from."""

import secrets
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..method.pixels import check_pixels
from .image_file import decode


def read(path: str | Path | BinaryIO, name: str = "") -> Tensor:
    """A picture (3, H, W) float32 in [0, 1], sRGB: turned as its EXIF says, transparent parts on white. name: what
    messages call one that is no file.

    Raises ImageFileError, a ValueError that names the file and says why, where it cannot be read, its pixels have no
    plain meaning, or it has more than ``image_file.MAX_PIXELS``.
    """
    return from_pil(decode(Path(path), path) if isinstance(path, (str, Path)) else decode(path, name or "the picture"))


def from_pil(picture: Image.Image) -> Tensor:
    """(3, H, W) float32 in [0, 1] of an RGB picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div_(255)


def to_pil(image: Tensor) -> Image.Image:
    """The RGB picture of (3, H, W) in [0, 1]. Raises ValueError where it is not finite or has another range."""
    check_pixels(image, "picture")
    pixels = (image.detach().float().cpu().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def resized(image: Tensor, size: int) -> Tensor:
    """A square picture (3, S, S) at (3, size, size), by Lanczos; untouched where it has that size."""
    if image.shape[-1] == size:
        return image
    return from_pil(to_pil(image).resize((size, size), Image.Resampling.LANCZOS))


def centre_square(image: Tensor) -> Tensor:
    """The largest square in the middle of (3, H, W)."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[:, top : top + side, left : left + side]


def watermarked(image: Image.Image, word: str = "DEMO") -> Image.Image:
    """The picture with a word burned in across its foot, so large that nobody can miss it."""
    out = image.copy()
    width, height = out.size
    font = ImageFont.load_default(size=max(height // 4, 10))
    ImageDraw.Draw(out).text(
        (width / 2, height - 1), word, font=font, fill="white", stroke_width=max(height // 64, 1), stroke_fill="black",
        anchor="md",
    )  # fmt: skip
    return out


def with_demo(image: Tensor) -> Tensor:
    """(3, H, W) in [0, 1] with the word burned in."""
    return from_pil(watermarked(to_pil(image)))


def write_png(image: Image.Image, path: Path, info: PngInfo | None = None) -> None:
    """Write pixels and nothing else (but ``info``, where it is asked for); the file appears whole or not at all."""
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    temporary = path.with_name(f".revpers-{secrets.token_hex(8)}.png")
    try:
        with temporary.open("xb") as file:
            bare.save(file, format="PNG", pnginfo=info)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
