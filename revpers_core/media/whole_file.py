"""Files as wholes: they appear whole or not at all, and are known by all of their bytes."""

import hashlib
import secrets
from pathlib import Path


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


def digest(path: Path) -> str | None:
    """Hash of the file's bytes; None where they cannot be read."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.sha256()
            while chunk := file.read(1 << 20):
                sha256.update(chunk)
            return sha256.hexdigest()
    except OSError:
        return None
