"""Pictures as files' bytes: pixels, and the mark where one is asked for."""

from dataclasses import dataclass

from PIL import Image

from ..media.marks import NO_MARK, Mark, encoded

FORMATS = ("png", "jpg", "webp")
"""png is lossless."""


@dataclass(frozen=True)
class Encoder:
    """An RGB picture to the bytes of a file. format: one of ``FORMATS``."""

    format: str = "png"
    mark: Mark = NO_MARK

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ValueError(f"the format must be one of {', '.join(FORMATS)}, got {self.format!r}")

    @property
    def suffix(self) -> str:
        return f".{self.format}"

    def __call__(self, picture: Image.Image) -> bytes:
        return encoded(picture, self.suffix, self.mark)
