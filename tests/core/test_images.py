"""Pictures are read as they are meant to be seen, and written as pixels alone."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from revpers_core.media import images

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


def saved(tmp_path, picture, name="x.png", **rest):
    picture.save(tmp_path / name, **rest)
    return images.read(tmp_path / name)


def grey(values):
    return torch.from_numpy(np.asarray(values, np.float32)).expand(3, -1, -1)


def test_grey_palette_and_16_bit_pictures_mean_what_they_show(tmp_path):
    expected = grey(RAMP / 255)
    assert torch.allclose(saved(tmp_path, Image.fromarray(RAMP)), expected)
    assert torch.allclose(saved(tmp_path, Image.fromarray(RAMP).convert("P")), expected)
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    assert torch.allclose(saved(tmp_path, deep), expected)
    bits = Image.fromarray(RAMP > 100)
    assert torch.allclose(saved(tmp_path, bits), grey(RAMP > 100))


def test_transparent_parts_are_white_and_hide_their_colour(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = (255, 0, 0, 255)
    pixels[4:] = (0, 0, 255, 0)
    image = saved(tmp_path, Image.fromarray(pixels))
    assert torch.equal(image[:, 0, 0], torch.tensor([1.0, 0, 0])) and torch.equal(image[:, 7, 0], torch.ones(3))
    half = saved(tmp_path, Image.fromarray(np.dstack([RAMP * 0, RAMP * 0 + 128])))
    assert torch.allclose(half, torch.full_like(half, 127 / 255), atol=1 / 255)


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_pictures_are_turned_upright(tmp_path, orientation, turn):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:4, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = saved(tmp_path, Image.fromarray(pixels), exif=exif)
    assert torch.equal(image[0], torch.from_numpy(np.rot90(pixels[..., 0], turn) / 255).float())


def test_colour_profiles_are_applied(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    same = saved(tmp_path, Image.fromarray(RAMP).convert("RGB"), icc_profile=lab.tobytes())
    assert (same - grey(RAMP / 255)).abs().max() <= 2 / 255


def test_other_pixels_and_many_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'F' are not supported"):
        saved(tmp_path, Image.fromarray(RAMP.astype(np.float32)), "x.tiff")
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())]
    with pytest.raises(ValueError, match="2 pictures"):
        saved(tmp_path, frames[0], "x.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="cannot be read"):
        images.read(tmp_path)


def test_written_pictures_are_read_back(tmp_path):
    image = torch.rand(3, 9, 7)
    images.write_png(images.to_pil(image), tmp_path / "x.png")
    assert (images.read(tmp_path / "x.png") - image).abs().max() <= 0.5 / 255 + 1e-6
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_nothing_is_left_where_writing_fails(tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError):
        images.write_png(Image.new("RGB", (4, 4)), tmp_path / "taken.png")
    assert [p.name for p in tmp_path.iterdir()] == ["taken.png"]


def test_metadata_stays_behind(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    picture = Image.new("RGB", (4, 4))
    picture.info |= {"exif": exif.tobytes(), "icc_profile": b"x" * 200, "dpi": (72, 72), "comment": "me"}
    images.write_png(picture, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as seen:
        assert seen.info == {} and not seen.getexif()


def test_pixels_that_are_not_finite_are_no_picture():
    with pytest.raises(ValueError, match="NaN"):
        images.to_pil(torch.full((3, 4, 4), float("nan")))


def test_squares_and_sizes():
    image = torch.arange(6.0).expand(3, 4, 6) / 6
    assert torch.equal(images.centre_square(image), image[:, :, 1:5])
    assert torch.equal(images.centre_square(image.mT), image.mT[:, 1:5])
    flat = torch.full((3, 30, 30), 0.4)
    assert images.resized(flat, 30) is flat
    assert torch.allclose(images.resized(flat, 8), torch.full((3, 8, 8), 0.4), atol=1 / 255)
