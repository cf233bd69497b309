"""What commands say: sentences, progress bars and complaints; never a traceback for what a user's file can cause."""

import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from ..method.trajectory import OnStep

FAILURES = (ValueError, OSError, RuntimeError, MemoryError, ImportError)
"""What a user's file, model or machine can cause: told in a sentence. Anything else is a bug and may show itself."""


def complain(error: BaseException, path: Path | None = None) -> int:
    what = " ".join(str(error).split()) or type(error).__name__
    print(f"revpers: {path}: {what}" if path else f"revpers: {what}", file=sys.stderr)
    return 1


@contextmanager
def progress(total: int, name: str) -> Generator[OnStep]:
    """A bar on the terminal (none where there is no terminal); yields what the pipeline tells its steps to."""
    from tqdm import tqdm

    with tqdm(total=total, desc=name, unit="step", leave=False, disable=not sys.stderr.isatty()) as bar:

        def on_step(k: int, x0: Tensor, x: Tensor) -> None:
            bar.update()

        yield on_step


def quiet() -> None:
    """Libraries keep their remarks to themselves, and never look at the network."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", DIFFUSERS_VERBOSITY="error")
    warnings.filterwarnings("ignore")
