"""Files that appear whole or not at all, and what names them."""

import secrets
from importlib import import_module
from pathlib import Path
from typing import Any

STATE = "_revpers"
"""Folder in an output that holds what a resumed run must know; data set readers skip names that begin so."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file by way of another name, so that no half of it is ever seen. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".revpers-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def stamp(path: Path) -> str:
    """Size and time of a file: another one of the same name has others."""
    told = path.stat()
    return f"{told.st_size}-{told.st_mtime_ns}"


def arrow(module: str) -> Any:
    """A module of pyarrow. Raises ImportError, saying what to install, where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"parquet needs pyarrow ({error}): pip install pyarrow") from error
