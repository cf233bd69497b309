"""Odd picture files are read as they are meant, or refused by name and in words."""

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from revpers_core.media import image_file, images
from revpers_core.media.image_file import MAX_PIXELS, ImageFileError

CASES = Path(__file__).parent / "cases"
pytestmark = pytest.mark.filterwarnings("ignore")
RAMP = np.arange(128, dtype=np.uint8).reshape(8, 16) * 2


def test_one_broken_tag_does_not_hide_the_orientation(caplog):
    """Its rational of (-1, 0) cannot be written back, which Pillow's own exif_transpose tries."""
    path = CASES / "exif_negative_rational.jpg"
    with Image.open(path) as picture:
        assert picture.getexif()[0x0112] == 6
        expected = np.rot90(np.asarray(picture.convert("RGB")), 3)
    assert torch.equal(images.read(path), images.from_pil(Image.fromarray(expected))) and caplog.text == ""


def test_exif_that_cannot_be_read_is_told(tmp_path, caplog):
    path = tmp_path / "me.png"
    Image.fromarray(RAMP).save(path, exif=b"Exif\0\0nonsense, at length")
    assert images.read(path).shape == (3, 8, 16)
    assert f"{path}: its EXIF data cannot be read" in caplog.text


def test_a_colour_profile_of_nonsense_is_told_and_left_out(caplog):
    path = CASES / "icc_garbage.jpg"
    with Image.open(path) as picture:
        plain = images.from_pil(picture.convert("RGB"))
    assert torch.equal(images.read(path), plain)
    assert f"{path}: its colour profile cannot be used: its colours are taken for sRGB's" in caplog.text


def test_a_colour_profile_counts(tmp_path, caplog):
    """One that swaps red and blue, made of Pillow's own sRGB."""
    from PIL import ImageCms

    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = data.replace(b"rXYZ", b"?XYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"?XYZ", b"bXYZ", 1)
    Image.new("RGB", (4, 4), (250, 10, 10)).save(tmp_path / "x.png", icc_profile=swapped)
    red, green, blue = images.read(tmp_path / "x.png")[:, 0, 0]
    assert blue > 0.9 and red < 0.2 and green < 0.2 and caplog.text == ""


def test_a_grey_profile_is_no_fault(tmp_path, caplog):
    from PIL import ImageCms

    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"RGB ", b"GRAY", 1)
    Image.fromarray(RAMP).save(tmp_path / "x.png", icc_profile=data)
    assert (images.read(tmp_path / "x.png")[0] - torch.from_numpy(RAMP) / 255).abs().max() < 1e-6 and caplog.text == ""


def test_every_refusal_names_the_file_and_keeps_path_and_reason_apart(tmp_path):
    path = tmp_path / "gone.png"
    with pytest.raises(ValueError) as raised:
        images.read(path)
    error = raised.value
    assert isinstance(error, ImageFileError) and str(error) == f"{path}: there is no such file"
    again = pickle.loads(pickle.dumps(error))  # a worker in another process hands it on
    assert (again.path, again.reason) == (path, "there is no such file")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageFileError, match=r"folder\.png: it cannot be read \(Is a directory\)"):
        images.read(tmp_path / "folder.png")


@pytest.mark.parametrize("raised", [RuntimeError("Decoding of color planes failed"), KeyError("tile"), MemoryError()])
def test_whatever_a_decoder_raises(raised, tmp_path, monkeypatch):
    def broken(self):
        raise raised

    Image.fromarray(RAMP).save(tmp_path / "x.bmp")
    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", broken)
    with pytest.raises(ImageFileError, match=r"x\.bmp: (it cannot be read \(.+\)|there is not enough memory)"):
        images.read(tmp_path / "x.bmp")


@pytest.mark.parametrize("side", [11_000, 20_000])
def test_pictures_too_large_for_memory_are_refused_before_they_are_decoded(side, tmp_path, monkeypatch):
    """Of one colour, so that the file is small; the second is more than Pillow itself opens."""
    assert MAX_PIXELS < 11_000**2
    Image.new("1", (side, side)).save(tmp_path / "x.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ImageFileError, match=r"x\.png: it is too large: .*more than 120 megapixels: make it smaller"):
        images.read(tmp_path / "x.png")


def test_heic_is_read_where_its_package_is(monkeypatch):
    known = image_file.suffixes()
    assert known >= {".jpg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".gif", ".jp2", ".tif", ".bmp"}
    assert not known & {".mp4", ".mpg", ".eps", ".pdf", ".h5", ".heic"} or "pillow_heif" in sys.modules
    image_file.formats.cache_clear()
    image_file.suffixes.cache_clear()

    def register():
        monkeypatch.setitem(Image.OPEN, "HEIF", (None, None))
        monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    try:
        assert ".heic" in image_file.suffixes() and "HEIF" in image_file.formats()
    finally:
        image_file.formats.cache_clear()
        image_file.suffixes.cache_clear()


def test_no_picture_starts_a_program(tmp_path):
    """Pillow would run Ghostscript for EPS, whatever the file's name says."""
    (tmp_path / "x.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(ImageFileError, match="not a picture in a known format"):
        images.read(tmp_path / "x.jpg")


def test_animations_and_layers(tmp_path):
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    for name in ("x.gif", "x.webp", "x.png", "x.avif", "x.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(ImageFileError, match=rf"{name}: holds 2 pictures, not one: save the one you want"):
            images.read(tmp_path / name)
    frames[0].convert("RGB").save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=frames[1:], quality=100)
    assert (images.read(tmp_path / "x.jpg") * 255 - torch.from_numpy(RAMP)).abs().max() < 8
