"""A picture file as it is meant to be seen: which kinds there are, and the pixels of one, or in words why not."""

import logging
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

PLAIN = ("1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr")
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L")
NO_PHOTOS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
"""Kinds that Pillow names but cannot decode by itself: stubs, and EPS, which would start Ghostscript."""
COMPOSED = ("MPO", "PSD")
"""Kinds whose first picture is the whole: what follows are previews, depth maps or layers."""
MAX_PIXELS = 120_000_000
"""More are refused: a photo takes about 40 bytes a pixel while its faces change, 5 GB at this size."""
MAX_SIDE = 65_535
"""More are refused, as JPEG does: a damaged header may promise a line of pixels that takes minutes to look at."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what makes the picture upright."""


class ImageFileError(ValueError):
    """A picture file that cannot be used. path: which, or what it is called where it is no file. reason: why, for those
    who name the file in their own way."""

    __module__ = "revpers_core"  # where it is imported from; ComfyUI would show the path of our folder

    def __init__(self, path: Path | str, reason: str):
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the kinds that are read; HEIC is one of them where pillow-heif is installed."""
    Image.init()
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in Image.OPEN if name not in NO_PHOTOS)


@cache
def suffixes() -> frozenset[str]:
    """What the names of such files end in, small and with the dot."""
    names = formats()
    return frozenset(end for end, name in Image.registered_extensions().items() if name in names)


def decode(file: Path | BinaryIO, path: Path | str) -> Image.Image:
    """The picture in RGB: turned as its EXIF says, in sRGB, transparent parts on white. path: what messages call it.
    Raises ImageFileError."""
    try:
        with Image.open(file, formats=formats()) as picture:
            _check(picture, path)
            picture.load()
            return _rgb(_upright(picture, path), path)
    except ImageFileError:
        raise
    except FileNotFoundError:
        reason, cause = "there is no such file", None
    except UnidentifiedImageError:
        reason, cause = "this is not a picture in a known format: use PNG, JPEG or WebP", None
    except Image.DecompressionBombError as error:
        reason, cause = _too_large(), error
    except MemoryError as error:
        reason, cause = "there is not enough memory to read it: make it smaller", error
    except Exception as error:  # a damaged file makes Pillow's decoders raise whatever comes
        reason, cause = f"it cannot be read ({_words(error)})", error
    raise ImageFileError(path, reason) from cause


def _words(error: Exception) -> str:
    """What the error says on one line, without the file's own path."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(message.split()) or type(error).__name__


def _check(picture: Image.Image, path: Path | str) -> None:
    """Raises ImageFileError for what should not even be decoded."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageFileError(path, f"it is empty: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise ImageFileError(path, _too_large(f"{width} x {height} pixels, "))
    if max(width, height) > MAX_SIDE:
        raise ImageFileError(
            path, f"it is too long: {width} x {height} pixels, more than {MAX_SIDE}: cut it into parts"
        )
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format not in COMPOSED:
        raise ImageFileError(path, f"holds {count} pictures, not one: save the one you want as PNG or JPEG")


def _too_large(size: str = "") -> str:
    return (
        f"it is too large: {size}more than {MAX_PIXELS // 10**6} megapixels: make it smaller, to half its width say, "
        "or cut it into parts"
    )


def _upright(picture: Image.Image, path: Path | str) -> Image.Image:
    """Turned as EXIF says. Only that one tag counts: the others may hold anything."""
    try:
        turn = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        logging.warning(f"{path}: its EXIF data cannot be read: the picture is taken as it lies in the file")
        return picture
    return picture.transpose(TURNS[turn]) if isinstance(turn, int) and turn in TURNS else picture


def _rgb(picture: Image.Image, path: Path | str) -> Image.Image:
    if picture.mode in SIXTEEN_BIT:
        levels = np.asarray(picture).astype(np.float32) / 257
        return Image.fromarray(levels.round().astype(np.uint8)).convert("RGB")
    if picture.mode not in PLAIN:
        raise ImageFileError(
            path, f"pixels of the kind {picture.mode!r} are not supported: save it as 8-bit PNG or JPEG"
        )
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture if picture.mode == "CMYK" else picture.convert("RGB")
    return (_srgb(picture, profile, path) if profile else picture).convert("RGB")


def _srgb(picture: Image.Image, profile: bytes, path: Path | str) -> Image.Image:
    """Its colours as the profile means them; as sRGB's where that cannot be told."""
    try:
        parsed = ImageCms.core.profile_frombytes(profile)
        if parsed.xcolor_space.strip() == "GRAY":
            return picture  # its values are sRGB's nearly
        converted = ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(parsed), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        return converted or picture
    except Exception:
        logging.warning(f"{path}: its colour profile cannot be used: its colours are taken for sRGB's")
        return picture
