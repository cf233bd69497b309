"""Training photographs as they are kept in the repository, so that nobody must render them first: a file of AVIF
pictures for every file that was rendered, at the networks' size. Nobody in them is real."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from .dataset import write

KEPT = Path(__file__).parents[3] / "training"
SIDE, QUALITY = 128, 88


def pack(source: Path, folder: Path = KEPT) -> int:
    """Keep every rendered file of people that is not kept yet; returns how many were added."""
    folder.mkdir(exist_ok=True)
    added = [path for path in sorted(source.glob("people-*.npz")) if not (folder / path.name).exists()]
    for path in added:
        arrays = dict(np.load(path))
        pictures = [_encoded(image) for image in arrays.pop("images")]
        joined = np.frombuffer(b"".join(pictures), np.uint8)
        write(folder / path.name, arrays | {"avif": joined, "ends": np.cumsum([len(data) for data in pictures])})
    return len(added)


def unpack(folder: Path, source: Path = KEPT) -> int:
    """Put every kept file, unless one of its name is there, where training looks; returns how many were added."""
    folder.mkdir(parents=True, exist_ok=True)
    added = [path for path in sorted(source.glob("people-*.npz")) if not (folder / path.name).exists()]
    for path in added:
        arrays = dict(np.load(path))
        pictures = np.split(arrays.pop("avif"), arrays.pop("ends")[:-1])
        decoded = [np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGB")) for data in pictures]
        write(folder / path.name, {"images": np.stack(decoded), **arrays})
    return len(added)


def _encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    small.save(buffer, "AVIF", quality=QUALITY, subsampling="4:4:4")
    return buffer.getvalue()
