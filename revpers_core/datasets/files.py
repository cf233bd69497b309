"""What a data set's files have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from .records import Block

STATE = "_revpers"
"""Folder in an output that holds what a resumed run must know; data set readers skip names that begin so."""


def arrow(module: str) -> Any:
    """A module of pyarrow. Raises ImportError, saying what to install, where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"parquet needs pyarrow ({error}): pip install pyarrow") from error


def parts(root: Path, suffix: str) -> list[Path]:
    """The files of a data set, in order: those in a folder, or the one that ``root`` is."""
    return [root] if root.is_file() else sorted(root.glob(f"*{suffix}"))


@dataclass(frozen=True)
class FileABlock:
    """The half of a sink that has one file a block, called by its number."""

    root: Path
    named: ClassVar[str]

    def is_there(self, block: Block) -> bool:
        return self.place(block.number).is_file()

    def remove(self, number: int) -> None:
        self.place(number).unlink(missing_ok=True)

    def finish(self, numbers: Sequence[int]) -> None:
        """There is nothing over the files."""

    def place(self, number: int) -> Path:
        return self.root / self.named.format(number)
