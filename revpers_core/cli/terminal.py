"""What commands say: sentences, progress bars and complaints; never a traceback for what a user's file can cause."""

import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from ..media.image_file import ImageFileError
from ..method.trajectory import OnStep

FAILURES = (ValueError, OSError, RuntimeError, MemoryError, ImportError)
"""What a user's file, model or machine can cause: told in a sentence. Anything else is a bug and may show itself."""

CURES = {
    errno.ENOTDIR: "a file stands where a folder must be: name another folder",
    errno.EEXIST: "a file stands where a folder must be: name another folder",
    errno.ENAMETOOLONG: "the result's name would be longer than files here may have: rename the picture",
    errno.ENOSPC: "the disk is full: make room, and run it again",
    errno.EDQUOT: "the disk is full for you: make room, and run it again",
    errno.EACCES: "it may not be read or written: change its permissions, or name another folder",
    errno.EPERM: "it may not be read or written: change its permissions, or name another folder",
    errno.EROFS: "nothing can be written there: name another folder",
}
"""What to do about the file system's own errors."""


def reason(error: BaseException) -> str:
    """Why, on one line and without the path of a picture that cannot be read: the caller names it. A bug says that it
    is one."""
    message = error.reason if isinstance(error, ImageFileError) else str(error)
    if isinstance(error, OSError) and error.errno in CURES:
        message = f"{error.filename}: {CURES[error.errno]}" if error.filename else CURES[error.errno]
    line = " ".join(message.split()) or type(error).__name__
    bug = "" if isinstance(error, FAILURES) else f"a fault in revpers, please report it: {type(error).__name__}: "
    return bug + line


def complain(error: BaseException, path: Path | str | None = None) -> int:
    """Tell the error, and of which picture it is, on stderr; returns the exit code 1."""
    if path is None and isinstance(error, ImageFileError):
        path = error.path
    print(f"revpers: {path}: {reason(error)}" if path else f"revpers: {reason(error)}", file=sys.stderr)
    return 1


@contextmanager
def progress(total: int, name: str) -> Generator[OnStep]:
    """A bar on the terminal (none where there is no terminal); yields what the pipeline calls after each step."""
    from tqdm import tqdm

    with tqdm(total=total, desc=name, unit="step", leave=False, disable=not sys.stderr.isatty()) as bar:

        def on_step(k: int, x0: Tensor, x: Tensor) -> None:
            bar.update()

        yield on_step


class _Remarks(logging.Handler):
    """Log messages beside the records: one line each, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"revpers: {self.format(record)}", file=sys.stderr)


def quiet() -> None:
    """Libraries keep their remarks to themselves, and never look at the network; names that the terminal's encoding
    lacks are written with escapes."""
    logging.basicConfig(handlers=[_Remarks()], format="%(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", DIFFUSERS_VERBOSITY="error")
    warnings.filterwarnings("ignore")
