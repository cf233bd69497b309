"""Files that appear whole or not at all."""

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
