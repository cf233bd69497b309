"""Pictures and clips marked as altered: IPTC's DigitalSourceType, C2PA content credentials, a word in the corner.

A mark says that a generative model replaced faces and which software did it: no seed, no prompt, no name or hash of the
source.
"""

import io
import json
import os
import struct
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's code for media in which a trained model made a part (cv.iptc.org/newscodes/digitalsourcetype)."""
WORDS = "face replaced by a generative model"
CORNER = "AI: face replaced"
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>""".encode()
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The uuid of an XMP box in an MP4 or QuickTime file (XMP specification, part 3)."""
MIME = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95}),
}
"""Suffix -> Pillow's name and settings; PNG is lossless."""
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
"""Of a private key: ECDSA on P-256 (the usual one), P-384 or P-521, RSA-PSS, Ed25519."""


@dataclass(frozen=True)
class Mark:
    """How results are marked; not at all unless asked for.

    iptc: DigitalSourceType in XMP. certificate, private_key: PEM files (a chain, leaf first, and the leaf's key) that
    sign content credentials as well; algorithm: the key's, such as es256. corner: a word in the lower right corner.
    """

    iptc: bool = False
    corner: bool = False
    certificate: Path | None = None
    private_key: Path | None = None
    algorithm: str = "es256"

    def __post_init__(self):
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("content credentials need a certificate and its private key: give both, as PEM files")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"the algorithm must be one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}")
        for path in (self.certificate, self.private_key):
            if path is not None and not path.is_file():
                raise ValueError(f"there is no file {path}")
        if self.certificate:
            c2pa_module()

    def as_settings(self) -> dict[str, Any]:
        """The mark as a run's settings name it: no file's name."""
        return {"iptc": self.iptc, "corner": self.corner, "c2pa": self.certificate is not None}


NO_MARK = Mark()


def credentials_from_environment() -> tuple[Path | None, Path | None]:
    """Certificate and private key by ``REVPERS_CERTIFICATE`` and ``REVPERS_PRIVATE_KEY``, so that no workflow names
    them; None where they are not set."""
    named = (os.environ.get(name) for name in ("REVPERS_CERTIFICATE", "REVPERS_PRIVATE_KEY"))
    certificate, key = (Path(path) if path else None for path in named)
    return certificate, key


def encoded(picture: Image.Image, suffix: str, mark: Mark = NO_MARK, info: PngInfo | None = None) -> bytes:
    """An RGB picture as the bytes of a file with this suffix: pixels, the mark that is asked for, and nothing else but
    ``info`` (PNG). Raises ValueError where it cannot be marked."""
    if suffix not in FORMATS:
        raise ValueError(f"pictures are written as {', '.join(FORMATS)}, not as {suffix!r}")
    bare = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    bare = cornered(bare) if mark.corner else bare
    name, settings = FORMATS[suffix]
    if name == "PNG" and (info or mark.iptc):
        info = info or PngInfo()
        if mark.iptc:
            info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        settings = {**settings, "pnginfo": info}
    elif mark.iptc:
        settings = {**settings, "xmp": XMP}
    buffer = io.BytesIO()
    bare.save(buffer, format=name, **settings)
    return signed(buffer.getvalue(), suffix, mark)


def check_clip(path: Path, mark: Mark) -> None:
    """Raise ValueError for a container in which a mark has no place."""
    if (mark.iptc or mark.certificate) and path.suffix.lower() not in (".mp4", ".mov"):
        raise ValueError(f"clips can be marked as .mp4 and .mov, not as {path.suffix!r}: name another output")


def mark_clip(path: Path, mark: Mark) -> None:
    """Mark a clip's file in its place; a word in the corner is the frames' affair. Raises ValueError for containers in
    which a mark has no place and for credentials that cannot sign."""
    check_clip(path, mark)
    if mark.iptc:
        with path.open("ab") as file:
            file.write(struct.pack(">I", 24 + len(XMP)) + b"uuid" + XMP_BOX + XMP)
    if mark.certificate:
        other = path.with_name(f"signed-{path.name}")
        try:
            with path.open("rb") as source, other.open("w+b") as target:
                _sign(source, target, path.suffix.lower(), mark)
            other.replace(path)
        finally:
            other.unlink(missing_ok=True)


def cornered(picture: Image.Image) -> Image.Image:
    """The picture with ``CORNER`` on a dark field in its lower right corner, at least 8 pixels high."""
    out = picture.copy()
    width, height = out.size
    size = max(8, min(width, height) // 28)
    font = ImageFont.load_default(size=size)
    while size > 4 and font.getlength(CORNER) > width - size:
        size -= 1
        font = ImageFont.load_default(size=size)
    draw, pad = ImageDraw.Draw(out), size // 3
    left = width - font.getlength(CORNER) - 2 * pad
    draw.rectangle((left, height - size - 3 * pad, width, height), fill=(20, 20, 20))
    draw.text((left + pad, height - pad), CORNER, font=font, fill="white", anchor="ld")
    return out


def signed(data: bytes, suffix: str, mark: Mark) -> bytes:
    """A file's bytes with content credentials, where there is a certificate. Raises ValueError where it cannot sign."""
    if mark.certificate is None:
        return data
    buffer = io.BytesIO()
    _sign(io.BytesIO(data), buffer, suffix, mark)
    return buffer.getvalue()


def _sign(source: BinaryIO, target: BinaryIO, suffix: str, mark: Mark) -> None:
    assert mark.certificate is not None and mark.private_key is not None
    c2pa = c2pa_module()
    try:
        key, chain = mark.private_key.read_bytes(), mark.certificate.read_bytes()
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(mark.algorithm, chain, key, None))
        builder = c2pa.Builder.from_json(json.dumps(manifest(suffix)), c2pa.Context.from_dict(SETTINGS))
        builder.sign(signer, MIME[suffix], source, target)
    except (OSError, c2pa.C2paError) as error:
        raise ValueError(f"content credentials cannot be signed with {mark.certificate.name}: {error}") from error


SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}
"""No thumbnail in the credentials; whom a reader trusts is the reader's affair."""


def manifest(suffix: str) -> dict[str, Any]:
    """What the credentials say (C2PA 2, actions): made by this software, a composite in which a face was replaced. No
    ingredient: it would hold the source's hash."""
    created = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
    edited = {"action": "c2pa.edited", "digitalSourceType": SOURCE_TYPE, "description": WORDS}
    return {
        "claim_generator_info": [{"name": "revpers", "version": _version()}],
        "format": MIME[suffix],
        "title": "anonymized",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created, edited]}}],
    }


def c2pa_module() -> Any:
    """The package c2pa. Raises ImportError, saying what to install."""
    try:
        return import_module("c2pa")
    except ImportError as error:
        raise ImportError(f"content credentials need c2pa-python ({error}): pip install c2pa-python") from error


def _version() -> str:
    try:
        return version("revpers")
    except PackageNotFoundError:
        return "0"
