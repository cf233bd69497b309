"""Pictures as files' bytes: pixels and nothing else."""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "webp": ("WEBP", {"quality": 95}),
}
"""Name -> Pillow's name and settings; png is lossless."""


@dataclass(frozen=True)
class Encoder:
    """An RGB picture to the bytes of a file. format: one of ``FORMATS``."""

    format: str = "png"

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ValueError(f"the format must be one of {', '.join(FORMATS)}, got {self.format!r}")

    @property
    def suffix(self) -> str:
        return f".{self.format}"

    def __call__(self, picture: Image.Image) -> bytes:
        name, settings = FORMATS[self.format]
        whole = io.BytesIO()
        Image.frombytes(picture.mode, picture.size, picture.tobytes()).save(whole, format=name, **settings)
        return whole.getvalue()
