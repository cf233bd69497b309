"""The old address of ``revpers_core.media.images``: for one release."""

from .media.images import centre_square, read, resized, write_png
from .media.images import from_pil as tensor
from .media.images import to_pil as picture
from .media.images import watermarked as marked

__all__ = ["centre_square", "marked", "picture", "read", "resized", "tensor", "write_png"]
