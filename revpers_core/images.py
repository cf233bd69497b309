"""Pictures on disk, under the name that the library shows: see ``revpers_core.media.images``."""

from .media.images import centre_square, marked, picture, read, resized, tensor, write_png

__all__ = ["centre_square", "marked", "picture", "read", "resized", "tensor", "write_png"]
