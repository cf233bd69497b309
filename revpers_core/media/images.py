"""Pictures on disk: read as they are meant to be seen, written without a word about where they come from."""

import io
import secrets
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..method.pixels import check_pixels

PLAIN = ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr")
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L")


def read(path: str | Path | BinaryIO) -> Tensor:
    """A picture (3, H, W) float32 in [0, 1], sRGB: turned as its EXIF says, transparent parts on white.

    Raises ValueError, saying why, where it cannot be read or its pixels have no plain meaning.
    """
    try:
        with Image.open(path) as picture:
            if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
                raise ValueError(f"holds {picture.n_frames} pictures, not one: save the one you want as PNG or JPEG")
            picture.load()
            return from_pil(_rgb(ImageOps.exif_transpose(picture)))
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except UnidentifiedImageError:
        raise ValueError("this is not a picture in a known format: use PNG, JPEG or WebP") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"it cannot be read ({error})") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in SIXTEEN_BIT:
        levels = np.asarray(picture).astype(np.float32) / 257
        return Image.fromarray(levels.round().astype(np.uint8)).convert("RGB")
    if picture.mode not in PLAIN:
        raise ValueError(f"pixels of the kind {picture.mode!r} are not supported: save it as 8-bit PNG or JPEG")
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    picture = picture if picture.mode == "CMYK" else picture.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            picture = ImageCms.profileToProfile(picture, source, srgb, outputMode="RGB") or picture
        except ImageCms.PyCMSError:
            pass  # a profile for other pixels than these (a grey one): their values are sRGB's nearly
    return picture.convert("RGB")


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
