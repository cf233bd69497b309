"""LoRA files as the command takes them: a name, and how strongly."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Lora(NamedTuple):
    """A LoRA file (safetensors) and its strength, 1 as its makers mean it."""

    path: Path
    strength: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Lora:
        """From ``FILE`` or ``FILE:STRENGTH``; a colon that no number follows belongs to the name."""
        name, colon, strength = text.rpartition(":")
        try:
            return cls(Path(name), float(strength)) if colon else cls(Path(text))
        except ValueError:
            return cls(Path(text))

    def __str__(self) -> str:
        return f"{self.path.name}:{self.strength:g}"
