"""Marks: there when asked for, true, and telling nothing of the source."""

import io
import json
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from revpers_core.media import marks
from revpers_core.media.marks import CORNER, SOURCE_TYPE, WORDS, Mark, encoded, mark_clip

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    """A certificate as C2PA wants it, of an authority of our own, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder, now = tmp_path_factory.mktemp("pem"), datetime.now(timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def certificate(name, key, authority: bool):
        oid = x509.oid.NameOID
        names = [
            x509.Name([x509.NameAttribute(oid.COMMON_NAME, one), x509.NameAttribute(oid.ORGANIZATION_NAME, "Test")])
            for one in (name, "root")
        ]
        usage = x509.KeyUsage(True, False, False, False, False, authority, False, False, False)
        result = x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
        result = result.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(30))
        result = result.add_extension(x509.BasicConstraints(authority, None), True).add_extension(usage, True)
        root = keys[0].public_key()
        result = result.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root), False)
        result = result.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        if not authority:
            result = result.add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        return result.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    chain = certificate("leaf", keys[1], False) + certificate("root", keys[0], True)
    (folder / "chain.pem").write_bytes(chain)
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(keys[1].private_bytes(serialization.Encoding.PEM, *plain))
    return folder / "chain.pem", folder / "key.pem"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_nothing_unless_asked_for(suffix):
    data = encoded(PICTURE, suffix)
    assert SOURCE_TYPE.encode() not in data and "xmp" not in Image.open(io.BytesIO(data)).info
    assert suffix != ".png" or np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(PICTURE))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_digital_source_type_is_where_readers_look(suffix):
    """In the XMP packet that Pillow finds, as an attribute that an XML reader finds; pixels untouched by it."""
    from xml.etree import ElementTree

    plain, data = encoded(PICTURE, suffix), encoded(PICTURE, suffix, Mark(iptc=True))
    picture = Image.open(io.BytesIO(data))
    packet = picture.info["xmp"]
    root = ElementTree.fromstring(packet.decode() if isinstance(packet, bytes) else packet)
    (described,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert described.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"] == SOURCE_TYPE
    assert np.array_equal(np.asarray(picture), np.asarray(Image.open(io.BytesIO(plain))))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_content_credentials_say_what_was_done_and_nothing_of_the_source(suffix, credentials):
    c2pa = pytest.importorskip("c2pa")
    data = encoded(PICTURE, suffix, Mark(True, False, *credentials))
    report = json.loads(c2pa.Reader(marks.MIME[suffix], io.BytesIO(data)).json())
    manifest = report["manifests"][report["active_manifest"]]
    assert report["validation_state"] == "Valid"
    problems = [one["code"] for one in report["validation_results"]["activeManifest"]["failure"]]
    assert problems == ["signingCredential.untrusted"]  # our own authority: nobody trusts it
    (actions,) = (one["data"]["actions"] for one in manifest["assertions"] if "actions" in one["label"])
    assert [one["action"] for one in actions] == ["c2pa.created", "c2pa.edited"]
    assert {one["digitalSourceType"] for one in actions} == {SOURCE_TYPE} and actions[1]["description"] == WORDS
    assert not manifest.get("ingredients") and "thumbnail" not in manifest
    assert not any(word in json.dumps(report).lower() for word in ("seed", "prompt", "guidance"))
    touched = bytearray(data)
    touched[len(touched) // 2] ^= 1
    try:
        again = json.loads(c2pa.Reader(marks.MIME[suffix], io.BytesIO(bytes(touched))).json())
    except c2pa.C2paError:
        return
    assert again["validation_state"] == "Invalid"


def test_the_corner_is_marked_and_the_rest_is_not():
    shown = np.asarray(Image.open(io.BytesIO(encoded(PICTURE, ".png", Mark(corner=True)))))
    changed = (shown != np.asarray(PICTURE)).any(2)
    rows, columns = np.nonzero(changed)
    assert changed.any() and rows.min() > 96 * 0.7 and columns.max() == 159 and rows.max() == 95
    tiny = Image.new("RGB", (40, 40), "red")
    assert marks.cornered(tiny).size == (40, 40) and CORNER


def test_a_clip_carries_both_and_plays_as_before(tmp_path, credentials):
    """The XMP box is a top-level one that players skip; a container without a place for it is refused."""
    av, c2pa = pytest.importorskip("av"), pytest.importorskip("c2pa")
    path = tmp_path / "clip.mp4"

    def frames():
        with av.open(str(path)) as clip:
            return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]

    with av.open(str(path), "w") as clip:
        stream = clip.add_stream("mpeg4", rate=5)
        stream.width, stream.height = PICTURE.size
        for _ in range(3):
            clip.mux(stream.encode(av.VideoFrame.from_image(PICTURE)))
        clip.mux(stream.encode())
    before, whole = frames(), path.read_bytes()
    mark_clip(path, Mark(iptc=True))
    result = path.read_bytes()
    tail = result[len(whole) :]
    assert result.startswith(whole) and int.from_bytes(tail[:4], "big") == len(tail)
    assert tail[4:24] == b"uuid" + marks.XMP_BOX and SOURCE_TYPE.encode() in tail
    mark_clip(path, Mark(False, False, *credentials))
    assert json.loads(c2pa.Reader("video/mp4", path.open("rb")).json())["validation_state"] == "Valid"
    assert SOURCE_TYPE.encode() in path.read_bytes() and [one.name for one in tmp_path.iterdir()] == ["clip.mp4"]
    assert len(before) == 3 and all(np.array_equal(a, b) for a, b in zip(before, frames(), strict=True))
    with pytest.raises(ValueError, match=r"\.mp4 and \.mov"):
        mark_clip(tmp_path / "clip.mkv", Mark(iptc=True))


def test_bad_credentials_are_told(tmp_path, credentials):
    chain, _ = credentials
    with pytest.raises(ValueError, match="give both"):
        Mark(True, False, chain)
    with pytest.raises(ValueError, match="no file"):
        Mark(True, False, chain, tmp_path / "gone.pem")
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(ValueError, match=r"cannot be signed with chain\.pem"):
        encoded(PICTURE, ".png", Mark(True, False, chain, tmp_path / "text.pem"))
    with pytest.raises(ValueError, match="es256"):
        Mark(algorithm="sha1")
    with pytest.raises(ValueError, match=r"\.png"):
        encoded(PICTURE, ".gif")


def test_without_the_package_the_error_says_what_to_install(monkeypatch, credentials):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(marks, "import_module", missing)
    with pytest.raises(ImportError, match="pip install c2pa-python"):
        Mark(True, False, *credentials)


def test_the_command_marks(random_pocket, offline, tmp_path, monkeypatch, capsys):
    from revpers_core.cli.main import main

    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        monkeypatch.setenv(name, "1")
    PICTURE.crop((0, 0, 96, 96)).save("me.png")
    run = ["anonymize", "me.png", "-o", "out", "--steps", "3", "--skip", ".5"]
    assert main(run) == 0 and SOURCE_TYPE.encode() not in (tmp_path / "out/me_anonymous.png").read_bytes()
    assert main([*run, "--mark"]) == 0 and SOURCE_TYPE.encode() in (tmp_path / "out/me_anonymous.png").read_bytes()
