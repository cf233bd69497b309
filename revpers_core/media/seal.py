"""The way back for whoever holds the key: the original pixels of what was changed, encrypted beside the result.

With such a file a result is pseudonymised, not anonymous (GDPR, recital 26). It is never inside the picture.
"""

import json
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from safetensors.numpy import load, save
from torch import Tensor

from . import vault

KIND = b"revpers seal 1"
SUFFIX = ".sealed"
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class Region(NamedTuple):
    """Somebody's place in a picture. name: e.g. "person 1". mask: (H, W) bool, the pixels that are theirs."""

    name: str
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def sealed_path(result: Path) -> Path:
    """Where a result's sealed file lies: beside it, NAME.sealed."""
    return result.with_suffix(SUFFIX)


def regions(original: Pixels, result: Pixels, reached: Sequence[Tensor], names: Sequence[str]) -> list[Region]:
    """Everyone's changed pixels, and as "the rest" those that are nobody's.

    original, result: (H, W, 3). reached: (1, H, W) a person, above 0 where that face may have changed the picture; a
    pixel that two faces reach is the later one's. Where the sizes differ, since a crop was made larger or smaller, the
    whole original is the first person's.
    """
    if original.shape != result.shape:
        return [Region(names[0] if names else "the rest", np.ones(original.shape[:2], bool))]
    left = (original != result).any(2)
    found_regions: list[Region] = []
    for name, mask in reversed(list(zip(names, reached, strict=True))):
        own = left & (mask[0] > 0).cpu().numpy()
        left = left & ~own
        found_regions.insert(0, Region(name, own))
    return [*found_regions, Region("the rest", left)]


def write(path: Path, original: Pixels, result: Pixels, key: bytes, sealed: Sequence[Region]) -> None:
    """Write the original pixels of the regions, whose masks have its size, encrypted. result: as it lies on disk."""
    parts: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = {}
    for i, region in enumerate(sealed):
        parts[f"mask {i}"] = np.packbits(region.mask)
        parts[f"pixels {i}"] = np.ascontiguousarray(original[region.mask])
    metadata = {
        "shape": json.dumps(original.shape),
        "result": _digest(result),
        "names": json.dumps([r.name for r in sealed]),
    }
    vault.write(path, vault.lock(zlib.compress(save(parts, metadata)), key, KIND))


def unseal(path: Path, result: Pixels, key: bytes, names: Sequence[str] | None = None) -> Pixels:
    """The result with the original pixels of the people of these names, of all unless given: then it is the original,
    bit for bit, where everyone was sealed.

    Raises ValueError for a wrong key, a file or picture that was changed, and names that are not in it.
    """
    try:
        content = zlib.decompress(vault.unlock(path.read_bytes(), key, KIND))
    except OSError as error:
        raise ValueError(f"{path}: the sealed file cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    metadata = _metadata(content)
    if _digest(result) != metadata["result"]:
        raise ValueError(f"{path}: the picture is not the one that it was sealed with, or was changed since")
    sealed_names: list[str] = json.loads(metadata["names"])
    if missing := [name for name in names or () if name not in sealed_names]:
        raise ValueError(f"{path}: {missing[0]!r} is not in it, only {', '.join(sealed_names)}")
    parts, shape = load(content), tuple(json.loads(metadata["shape"]))
    out = result.copy() if shape == result.shape else np.zeros(shape, np.uint8)
    for i, name in enumerate(sealed_names):
        if names is None or name in names:
            mask = np.unpackbits(parts[f"mask {i}"], count=shape[0] * shape[1]).astype(bool).reshape(shape[:2])
            out[mask] = parts[f"pixels {i}"]
    return out


def people(path: Path, key: bytes) -> list[str]:
    """The names that a sealed file holds pixels of."""
    return json.loads(_metadata(zlib.decompress(vault.unlock(path.read_bytes(), key, KIND)))["names"])


def pixels(picture: Image.Image) -> Pixels:
    """(H, W, 3) of a picture."""
    return np.asarray(picture.convert("RGB"), np.uint8)


def _metadata(content: bytes) -> dict[str, str]:
    """What safetensors keeps in its header, which its reader of bytes leaves out."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _digest(result: Pixels) -> str:
    return sha256(repr(result.shape).encode() + np.ascontiguousarray(result).tobytes()).hexdigest()
