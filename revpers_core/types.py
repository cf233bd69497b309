"""The old address of what ``from revpers_core import Attribute, Plan`` gives: for one release."""

from .faces.face import Face
from .method.types import Attribute, Identity, NoFaceError, Plan, Ports

__all__ = ["Attribute", "Face", "Identity", "NoFaceError", "Plan", "Ports"]
