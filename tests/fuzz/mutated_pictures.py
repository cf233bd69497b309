"""Damaged picture files: each must be read, or refused in a sentence that names it; anything else is a fault of ours.

    python tests/fuzz/mutated_pictures.py --files 200000 --seed 0

Every file follows from (seed, number) alone. A worker process reads them, so that a decoder that crashes is counted
too. The last line says how many files there really were, and the exit code is 1 where any ended in a fault.
"""

import argparse
import io
import logging
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

SIDE = (40, 56)
SLOW = 5.0
"""Seconds of the processor from which on a small damaged file is a fault: somebody's folder would stand still."""
MARKS = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x01\x00",
)


def picture(mode: str = "RGB") -> Image.Image:
    """Smooth and busy parts, the same each time."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[: SIDE[1], : SIDE[0]]
    pixels = np.stack([x * 5, y * 4, (x + y) * 2], -1).astype(np.uint8)
    pixels[20:] = random.integers(0, 256, pixels[20:].shape)
    return Image.fromarray(pixels).convert(mode)


def exif() -> bytes:
    """Tags of every type, a thumbnail's worth of IFDs, and an orientation."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x011A] = 6, "a camera", IFDRational(72, 1)
    tags[0x0132] = "2026:11:28 12:00:00"
    tags.get_ifd(0x8769).update({0x829A: IFDRational(1, 60), 0x9204: IFDRational(-1, 3), 0x927C: b"maker" * 9})
    tags.get_ifd(0x8825).update({1: "N", 2: (IFDRational(1, 1), IFDRational(2, 1), IFDRational(3, 1))})
    return tags.tobytes()


def saved(form: str, mode: str = "RGB", **how: Any) -> bytes:
    out = io.BytesIO()
    picture(mode).save(out, form, **how)
    return out.getvalue()


def sixteen_bit() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(picture("L")).astype(np.uint16) * 257).save(out, "PNG")
    return out.getvalue()


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


KINDS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved("JPEG", quality=90),
    "jpeg progressive": lambda: saved("JPEG", progressive=True),
    "jpeg exif": lambda: saved("JPEG", exif=exif()),
    "jpeg icc": lambda: saved("JPEG", icc_profile=profile()),
    "jpeg cmyk": lambda: saved("JPEG", "CMYK", icc_profile=profile()),
    "mpo": lambda: saved("MPO", save_all=True, append_images=[picture()], exif=exif()),
    "png": lambda: saved("PNG", exif=exif(), icc_profile=profile()),
    "png 16 bit": sixteen_bit,
    "png palette": lambda: saved("PNG", "P", transparency=3),
    "tiff": lambda: saved("TIFF", exif=exif()),
    "tiff lzw": lambda: saved("TIFF", compression="tiff_lzw", tiffinfo={274: 8}),
    "tiff in tiles": lambda: saved("TIFF", "RGBA", compression="tiff_adobe_deflate", tiffinfo={322: 16, 323: 16}),
    "tiff of jpeg": lambda: saved("TIFF", compression="jpeg", icc_profile=profile()),
    "gif": lambda: saved("GIF", "P", comment=b"hello"),
    "webp": lambda: saved("WEBP", quality=80, exif=exif()),
    "webp alpha": lambda: saved("WEBP", "RGBA", lossless=True, icc_profile=profile()),
    "avif": lambda: saved("AVIF", quality=70, speed=10, exif=exif(), icc_profile=profile()),
    "jpeg 2000": lambda: saved("JPEG2000"),
    "bmp": lambda: saved("BMP"),
    "ico": lambda: saved("ICO", "RGBA", sizes=[(32, 32)]),
    "tga": lambda: saved("TGA", "RGBA", compression="tga_rle"),
    "ppm": lambda: saved("PPM"),
    "qoi": lambda: saved("QOI", "RGBA"),
}
TURNED = ("jpeg exif", "mpo", "png", "tiff", "tiff lzw", "webp", "avif")
"""Kinds whose orientation tag says that width is height."""
SUFFIX = {"jpeg": ".jpg", "mpo": ".jpg", "jpeg 2000": ".jp2", "tiff": ".tif"}


class Outcome(NamedTuple):
    """One file's end: "read", "refused" or "fault", and what was said."""

    kind: str
    number: int
    end: str
    said: str


def checked(data: bytes) -> bytes:
    """A PNG whose checksums fit again, so that more than they is tried."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        size = int.from_bytes(out[at : at + 4], "big")
        if at + 12 + size > len(out):
            break
        out[at + 8 + size : at + 12 + size] = zlib.crc32(out[at + 4 : at + 8 + size]).to_bytes(4, "big")
        at += 12 + size
    return bytes(out)


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """One to six damages, half of them among the first bytes, where headers and tags are."""
    out = bytearray(data)
    for _ in range(random.integers(1, 7)):
        if not out:
            break
        reach = min(len(out), 400) if random.random() < 0.5 else len(out)
        at, size = int(random.integers(reach)), int(random.integers(1, 33))
        how = random.integers(8)
        if how < 2:
            out[at] ^= 1 << int(random.integers(8))
        elif how == 2:
            out[at] = int(random.integers(256))
        elif how == 3:
            mark = MARKS[random.integers(len(MARKS))]
            out[at : at + len(mark)] = mark
        elif how == 4:
            del out[at : at + size]
        elif how == 5:
            out[at:at] = out[at : at + size]
        elif how == 6:
            out[at : at + size] = random.bytes(size)
        elif random.random() < 0.3:
            del out[at:]
    return bytes(out)


def files(seed: int, first: int, last: int) -> Iterator[tuple[str, int, bytes]]:
    """(kind, number, bytes) of the damaged files of these numbers; kinds go round."""
    whole = {kind: make() for kind, make in KINDS.items()}
    names = list(whole)
    for number in range(first, last):
        kind = names[number % len(names)]
        random = np.random.default_rng([seed, number])
        data = mutated(whole[kind], random)
        yield kind, number, checked(data) if kind.startswith("png") and random.random() < 0.7 else data


def name_of(kind: str, number: int) -> str:
    first = kind.split()[0]
    return f"{number:07}{SUFFIX.get(kind) or SUFFIX.get(first) or '.' + first}"


def read_one(kind: str, number: int, data: bytes, folder: Path) -> Outcome:
    """Write the file, read it as every verb does."""
    from revpers_core.media import images

    path = folder / name_of(kind, number)
    path.write_bytes(data)
    start = time.process_time()
    try:
        image = images.read(path)
        fine = image.ndim == 3 and image.shape[0] == 3 and float(image.min()) >= 0 and float(image.max()) <= 1
        outcome = Outcome(kind, number, "read" if fine else "fault", "" if fine else f"shape {tuple(image.shape)}")
    except ValueError as error:
        said = str(error)
        named = path.name in said and len(said) > len(str(path)) + 5 and "\n" not in said
        outcome = Outcome(kind, number, "refused" if named else "fault", said)
    except BaseException:
        outcome = Outcome(kind, number, "fault", traceback.format_exc())
    finally:
        path.unlink()
    if time.process_time() - start > SLOW:
        return outcome._replace(
            end="fault", said=f"{time.process_time() - start:.0f} s of the processor: {outcome.said}"
        )
    return outcome


def _work(seed: int, first: int, last: int, at: Any, results: Any, deadly: int) -> None:
    """The worker's loop. deadly: a number at which it dies, for the tests of this script."""
    warnings.simplefilter("ignore")
    logging.disable()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for kind, number, data in files(seed, first, last):
            at.value = number
            if number == deadly:
                os._exit(9)
            results.put(read_one(kind, number, data, Path(folder)))
    results.put(None)


def run(seed: int, count: int, deadly: int = -1) -> Iterator[Outcome]:
    """What became of ``count`` files; a worker that dies is one file's fault, and another one goes on behind it."""
    first, context = 0, multiprocessing.get_context("spawn")
    kinds = list(KINDS)
    while first < count:
        at, results = context.Value("l", first), context.SimpleQueue()
        worker = context.Process(target=_work, args=(seed, first, count, at, results, deadly))
        worker.start()
        while True:
            while results.empty() and worker.is_alive():
                time.sleep(0.01)
            if results.empty():
                number = at.value
                yield Outcome(kinds[number % len(kinds)], number, "fault", f"the process died: {worker.exitcode}")
                first = number + 1
                break
            if (outcome := results.get()) is None:
                first = count
                break
            yield outcome
        worker.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where files that end in a fault are kept")
    args = parser.parse_args()
    start, ends = time.perf_counter(), Counter[tuple[str, str]]()
    for outcome in run(args.seed, args.files):
        ends[outcome.kind, outcome.end] += 1
        if outcome.end == "fault":
            print(f"{outcome.kind}, number {outcome.number}: {outcome.said}", flush=True)
            if args.keep:
                args.keep.mkdir(parents=True, exist_ok=True)
                ((kind, number, data),) = files(args.seed, outcome.number, outcome.number + 1)
                (args.keep / name_of(kind, number)).write_bytes(data)
    for kind in KINDS:
        print(f"{kind:<18} " + "  ".join(f"{end} {ends[kind, end]:>6}" for end in ("read", "refused", "fault")))
    whole, faults = ends.total(), sum(n for (_, end), n in ends.items() if end == "fault")
    print(f"{whole} files of {len(KINDS)} kinds in {time.perf_counter() - start:.0f} s: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
