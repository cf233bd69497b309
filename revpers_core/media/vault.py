"""Bytes that only a key opens: AES-256-GCM, the key stretched by scrypt."""

import os
import secrets
from pathlib import Path

from . import keys

SALT, NONCE = 16, 12


def lock(content: bytes, key: bytes, kind: bytes) -> bytes:
    """Encrypt; a bit that is changed makes it unreadable. kind: what it holds, written in front for all to see."""
    salt, nonce = secrets.token_bytes(SALT), secrets.token_bytes(NONCE)
    return kind + salt + nonce + _cipher(key, salt).encrypt(nonce, content, kind)


def unlock(locked: bytes, key: bytes, kind: bytes) -> bytes:
    """Decrypt. Raises ValueError where the key is another, a bit was changed, or it holds something else."""
    if not locked.startswith(kind) or len(locked) < len(kind) + SALT + NONCE:
        raise ValueError(f"this is no file of the kind '{kind.decode()}'")
    salt, nonce, rest = (field for field in _parts(locked[len(kind) :]))
    from cryptography.exceptions import InvalidTag

    try:
        return _cipher(key, salt).decrypt(nonce, rest, kind)
    except InvalidTag:
        raise ValueError("the key is not the one it was made with, or the file was changed") from None


def _parts(locked: bytes) -> tuple[bytes, bytes, bytes]:
    return locked[:SALT], locked[SALT : SALT + NONCE], locked[SALT + NONCE :]


def _cipher(key: bytes, salt: bytes):
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise ImportError("sealing needs a library for encryption: pip install cryptography") from error
    return AESGCM(keys.stretched(key, salt))


def write(path: Path, content: bytes) -> None:
    """Write a private file, readable by its owner alone, that appears whole or not at all."""
    temporary = path.with_name(f".revpers-{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
