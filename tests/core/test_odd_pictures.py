"""Pictures as they come, through the search with the pocket detector: right, or a clear refusal."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from revpers_core.cli.main import main
from revpers_core.media import gallery, images

AT, SIDE = (20, 60), 197


@pytest.fixture(scope="module")
def person() -> Image.Image:
    """A face in a picture of odd sizes."""
    canvas = Image.new("RGB", (251, 333), "grey")
    canvas.paste(images.to_pil(gallery.aligned_face(3, 0)).resize((SIDE, SIDE)), AT)
    return canvas


def deep(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


def see_through(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 255))
    return picture


def found(capsys, path):
    code = main(["faces", str(path), "--json", "--detector", "pocket"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def converted(mode: str):
    return lambda picture: picture.convert(mode)


@pytest.mark.parametrize("form", [*map(converted, ("RGB", "L", "LA", "P")), see_through, deep])
def test_the_face_is_where_it_is_in_every_form(form, person, capsys, tmp_path):
    form(person).save(tmp_path / "x.png")
    code, record, err = found(capsys, tmp_path / "x.png")
    assert (code, err, record["width"], record["height"]) == (0, "", 251, 333)
    (face,) = record["faces"]
    eyes = torch.tensor(face["points"])[:2].mean(0)
    assert (eyes - torch.tensor([AT[0] + 0.5 * SIDE, AT[1] + 0.468 * SIDE])).norm() < 14


def test_a_picture_that_the_camera_turned_is_seen_upright(person, capsys, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    person.rotate(90, expand=True).save(tmp_path / "x.jpg", exif=exif, quality=95)
    _, record, _ = found(capsys, tmp_path / "x.jpg")
    (face,) = record["faces"]
    assert (record["width"], record["height"]) == (251, 333)
    assert face["points"][0][1] < face["points"][3][1] - 20, "the mouth is not below the eyes"


@pytest.mark.parametrize("size", [(1, 1), (4001, 3), (1, 700)])
def test_pictures_too_thin_for_a_face_show_nobody(size, capsys, tmp_path):
    Image.new("RGB", size, "red").save(tmp_path / "x.png")
    code, record, err = found(capsys, tmp_path / "x.png")
    assert (code, record["faces"]) == (1, []) and "no face was found" in err


def test_a_line_of_pixels_longer_than_any_photo_is_refused_before_it_is_decoded(tmp_path):
    """A damaged header of a small file asked for 40 x 2097208 pixels: 11 seconds."""
    path = tmp_path / "long.png"
    for size, fine in (((1, 65_535), True), ((65_536, 1), False)):
        Image.new("1", size).save(path)
        if fine:
            assert images.read(path).shape == (3, *size[::-1])
        else:
            with pytest.raises(ValueError, match="too long: 65536 x 1 pixels, more than 65535: cut it"):
                images.read(path)


def test_broken_files_are_refused_in_words(person, capsys, tmp_path):
    person.save(tmp_path / "x.png")
    data = (tmp_path / "x.png").read_bytes()
    for part, said in ((data[:900], "cannot be read"), (b"", "not a picture"), (b"\x89PNG\r\n", "not a picture")):
        (tmp_path / "x.png").write_bytes(part)
        code, record, err = found(capsys, tmp_path / "x.png")
        assert (code, record) == (1, None) and said in err and "Traceback" not in err
