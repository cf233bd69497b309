"""Face anonymization by reverse personalization (arXiv:2512.22984): pure torch, two hosts at the edge.

The library's front door: ``from revpers_core import Attribute, Plan, ReversePersonalizationPipeline, images``. Names
are imported when they are asked for, so that ComfyUI never loads diffusers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import images
    from .hosts.diffusers import ReversePersonalizationPipeline
    from .media.image_file import ImageFileError
    from .media.strength import StillRecognisedError
    from .method.types import Attribute, Identity, NoFaceError, Plan

__all__ = [
    "Attribute",
    "Identity",
    "ImageFileError",
    "NoFaceError",
    "Plan",
    "ReversePersonalizationPipeline",
    "StillRecognisedError",
    "images",
]

_HOMES = {
    "Attribute": "method.types",
    "Identity": "method.types",
    "ImageFileError": "media.image_file",
    "NoFaceError": "method.types",
    "Plan": "method.types",
    "ReversePersonalizationPipeline": "hosts.diffusers",
    "StillRecognisedError": "media.strength",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
