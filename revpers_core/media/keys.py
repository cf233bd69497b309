"""Keys: from a file or a passphrase to bytes that nobody guesses quickly."""

import hashlib
from pathlib import Path

LEAST = 12
"""Bytes of the shortest key or passphrase."""
COST = 2**15
"""Of scrypt (RFC 7914): a guess takes 32 MB and about a tenth of a second."""
MAKE_ONE = 'python -c "import secrets; print(secrets.token_hex(32))" > key.txt'


def read(path: str | Path) -> bytes:
    """A key file's content, white space around it left out. Raises ValueError where it is missing or too short."""
    try:
        return checked(Path(path).read_bytes(), f"the key file {path}")
    except OSError as error:
        raise ValueError(
            f"the key file {path} cannot be read ({error.strerror or error}): make one with {MAKE_ONE}"
        ) from error


def checked(content: bytes | str, name: str = "the key") -> bytes:
    """A key as bytes. Raises ValueError where it is empty or short enough to be guessed."""
    key = (content.encode() if isinstance(content, str) else content).strip()
    if len(key) < LEAST:
        size = "empty" if not key else f"only {len(key)} bytes long"
        raise ValueError(f"{name} is {size}: use {LEAST} or more, a sentence that nobody guesses, or {MAKE_ONE}")
    return key


def stretched(key: bytes, salt: bytes) -> bytes:
    """32 bytes of a key that may be a passphrase, by scrypt."""
    return hashlib.scrypt(key, salt=salt, n=COST, r=8, p=1, maxmem=2**26, dklen=32)
