"""The shipped workflows with the pocket model, run in ComfyUI; their thumbnails, made from such runs."""

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from server import REPO, Server
from test_server import workflow

WORKFLOWS = REPO / "workflows"
NAMES = [path.stem for path in sorted((WORKFLOWS / "api").glob("*.pocket.json"))]
FEW = {"steps": 5}
THUMBNAIL = (640, 360)
SHADE = (24, 24, 27)


@pytest.fixture(autouse=True)
def photos(server: Server) -> None:
    """What the folder workflow reads: rendered people from a run of their own."""
    folder = server.base / "input" / "photos"
    if folder.is_dir():
        return
    folder.mkdir()
    for person in (3, 8, 12):
        prompt = {
            "1": {"class_type": "RevPersPocketFace", "inputs": {"person": person, "photo": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": f"person{person}"}},
        }
        (path,) = files(server, server.result(server.queue(prompt)))
        path.rename(folder / path.name)


def files(server: Server, entry: dict[str, Any]) -> list[Any]:
    """The pictures that a run shows, in the order of its boxes, each once."""
    assert entry["status"]["status_str"] == "success", entry["status"]
    outputs = sorted(entry["outputs"].items(), key=lambda item: int(item[0]))
    folders = {"output": server.base / "output", "temp": server.base / "temp"}
    shown = [one for _, out in outputs for key in ("before", "images") for one in out.get(key, [])]
    paths = [folders[one["type"]] / one["subfolder"] / one["filename"] for one in shown]
    return list({path.read_bytes(): path for path in paths}.values())


def run(server: Server, name: str, **changes: Any) -> list[np.ndarray[Any, Any]]:
    """The pictures of a workflow's run, 0...255."""
    shown = files(server, server.result(server.queue(workflow(name, **changes))))
    return [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in shown]


@pytest.mark.upstream
def test_two_looks_of_one_photo(server: Server) -> None:
    source, old, woman = run(server, "attributes.pocket", **FEW)
    assert np.abs(old - woman).mean() > 1 and np.abs(old - source).mean() > 2


@pytest.mark.upstream
def test_strengths_side_by_side_with_the_judges_bars(server: Server) -> None:
    *result, audit = run(server, "compare_strengths.pocket", **FEW)
    distances = [np.abs(one - result[0]).mean() for one in result]
    assert len(result) == 4 and distances == sorted(distances) and distances[-1] > 5
    assert audit.shape[0] > 128 and audit.shape[1] > 256


@pytest.mark.upstream
def test_a_touch_up_changes_nothing_outside_the_mask(server: Server) -> None:
    *_, source, result = run(server, "touch_up.pocket", **FEW)
    *_, before = run(server, "keep_eyes_and_mouth.pocket", keep_eyes_and_mouth=False, **FEW)
    assert np.abs(result - source)[:6].max() <= 2 and np.abs(result - before)[40:100, 40:90].mean() > 0.5


@pytest.mark.upstream
def test_eyes_and_mouth_stay(server: Server) -> None:
    *_, source, result = run(server, "keep_eyes_and_mouth.pocket", **FEW)
    eyes = [one[54:64, 42:56].mean(-1).ravel() for one in (source, result)]
    assert np.corrcoef(*eyes)[0, 1] > 0.8


@pytest.mark.upstream
def test_enlarged_afterwards(server: Server) -> None:
    *_, result = run(server, "upscale.pocket", **FEW)
    assert result.shape == (192, 192, 3)


@pytest.mark.upstream
def test_every_photo_of_a_folder(server: Server) -> None:
    result = run(server, "folder.pocket", **FEW)
    assert len(result) == 3 and min(np.abs(a - b).mean() for a, b in pairwise(result)) > 3


@pytest.mark.upstream
@pytest.mark.parametrize("name", NAMES)
def test_thumbnail(server: Server, name: str) -> None:
    """A wide picture of what the run shows; the form for real weights shares it."""
    shipped = [WORKFLOWS / f"{one}.jpg" for one in (name, name.removesuffix(".pocket"))]
    if os.environ.get("REVPERS_WRITE_WORKFLOWS"):
        shown = [opened(path) for path in files(server, server.result(server.queue(workflow(name))))]
        for path in shipped:
            labelled(side_by_side(shown[:4]), path.stem).save(path, quality=85)
    for path in shipped:
        with Image.open(path) as picture:
            assert picture.size == THUMBNAIL and path.stat().st_size < 200_000, f"{path.name}: make workflows"
            assert np.asarray(picture).std() > 20


def labelled(sheet: Image.Image, name: str) -> Image.Image:
    """With a word in its corner for which model the template is."""
    word = "pocket demo" if name.endswith(".pocket") else "SDXL"
    font = ImageFont.load_default(size=20)
    draw = ImageDraw.Draw(sheet)
    left, top, right, bottom = draw.textbbox((10, 6), word, font=font)
    draw.rounded_rectangle(
        (left - 6, top - 4, right + 6, bottom + 4), 4, fill="#1c5d3a" if word == "SDXL" else "#7a4a12"
    )
    draw.text((10, 6), word, font=font, fill="white")
    return sheet


def opened(path: Path) -> Image.Image:
    """A picture, or a clip's first frame."""
    if path.suffix != ".mp4":
        return Image.open(path).convert("RGB")
    import av

    with av.open(str(path)) as clip:
        return next(clip.decode(video=0)).to_image()


@pytest.mark.upstream
def test_everyone_in_a_clip(server: Server) -> None:
    import av

    entry = server.result(server.queue(workflow("anonymize_clip.pocket", steps=4)))
    (path,) = files(server, entry)
    with av.open(str(path)) as clip:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in clip.decode(video=0)]
        assert not {"prompt", "workflow"} & set(clip.metadata)
    assert len(frames) == 4 and np.abs(frames[0] - frames[3]).mean() < 3, "one stranger in all frames"


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """The pictures in a row, as large as fits."""
    width, height = THUMBNAIL
    margin = 16
    room = width - margin * (len(pictures) + 1)
    scale = min(room / sum(one.width / one.height for one in pictures), height - 2 * margin)
    sheet = Image.new("RGB", THUMBNAIL, SHADE)
    x = (width - margin * (len(pictures) - 1) - round(sum(scale * one.width / one.height for one in pictures))) // 2
    for one in pictures:
        small = one.resize((round(scale * one.width / one.height), round(scale)), Image.Resampling.LANCZOS)
        sheet.paste(small, (x, (height - small.height) // 2))
        x += small.width + margin
    return sheet


def test_every_template_says_what_to_do() -> None:
    from workflow_notes import NOTES

    for path in (WORKFLOWS / "api").glob("*.json"):
        assert path.stem in NOTES and json.loads((WORKFLOWS / path.name).read_text())["nodes"]
        assert all(part.rstrip("*")[-1] in ".:)" for part in NOTES[path.stem].split("\n\n")[1:]), path.stem


@pytest.mark.parametrize("name", sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json")))
def test_every_template_opens_at_a_readable_size(name: str) -> None:
    """All of it, notes and rooms included, within what a screen of 1280 x 720 shows above 57%; each box once."""
    form = json.loads((WORKFLOWS / f"{name}.json").read_text())
    boxes = [(*n["pos"], n["size"][0], 0 if n["flags"].get("collapsed") else n["size"][1], 30) for n in form["nodes"]]
    boxes += [(*group["bounding"], 0) for group in form["groups"]]
    width = max(x + w for x, _, w, _, _ in boxes) - min(x for x, *_ in boxes)
    height = max(y + h for _, y, _, h, _ in boxes) - min(y - bar for _, y, _, _, bar in boxes)
    assert width <= 1650 and height <= 935, (name, width, height)
    assert len({node["id"] for node in form["nodes"]}) == len(form["nodes"])
