"""Pictures on disk, for the library's users: what they need of ``revpers_core.media.images``.

``marked``, ``picture`` and ``tensor`` are the last release's names, kept for one more.
"""

from .media.images import centre_square, from_pil, read, resized, to_pil, watermarked, write_png

marked, picture, tensor = watermarked, to_pil, from_pil

__all__ = [
    "centre_square", "from_pil", "marked", "picture", "read", "resized", "tensor", "to_pil", "watermarked", "write_png",
]  # fmt: skip
