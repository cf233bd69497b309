"""What a data set's files have in common."""

from importlib import import_module
from typing import Any

STATE = "_revpers"
"""Folder in an output that holds what a resumed run must know; data set readers skip names that begin so."""


def arrow(module: str) -> Any:
    """A module of pyarrow. Raises ImportError, saying what to install, where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"parquet needs pyarrow ({error}): pip install pyarrow") from error
