"""Pictures that ship: held-out people, two group photos and three clips, with all that is known of them.

Every picture is written once; a run that stops goes on with the next. ``gallery.json`` tells points and boxes in the
unit square, factors and words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from .factors import FACTORS, PHOTOS
from .group import GROUPS, group
from .person import person_from_seed
from .shot import Shot, clip, held_out_shot, shot_from_seed, words

if TYPE_CHECKING:
    from .render import Renderer

PEOPLE = 64
SIDE, FRAME_SIDE = 384, 256
"""Pixels of a photo and of a clip's frame."""
WIDER = 1.3
"""A photo's side in that of the aligned crop that is cut from it."""
FRAMES, RATE = 48, 24
CLIP_PEOPLE = (3, 17, 40)
CLIPS_AT = (PEOPLE + 16, 2 * PEOPLE, 2 * PEOPLE + 32)
"""After how many photos a clip of each of these people is rendered."""
QUALITY = 90

Truth = dict[str, Any]


def render_gallery(renderer: Renderer, folder: Path) -> None:
    """Write what is missing in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gallery.json"
    truths: dict[str, Truth] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    truths = {name: truth for name, truth in truths.items() if (folder / name).exists()}
    for name, make in tqdm([(name, make) for name, make in _jobs(renderer) if name not in truths], desc="gallery"):
        truths[name] = make(folder / name)
        new = path.with_suffix(".part")
        lines = [f" {json.dumps(name)}: {json.dumps(truths[name])}" for name in sorted(truths)]
        new.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
        os.replace(new, path)


def _jobs(renderer: Renderer) -> Iterator[tuple[str, Callable[[Path], Truth]]]:
    """What is worth most first: whoever stops early has a photo of everyone and the groups, then something of all."""
    photos = [(i, k) for k in range(PHOTOS) for i in range(PEOPLE)]
    for number, (i, k) in enumerate(photos):
        if number == PEOPLE:
            for group_number in range(len(GROUPS)):
                yield f"group-{group_number}.jpg", lambda path, n=group_number: _group(renderer, path, n)
        if number in CLIPS_AT:
            clip_number = CLIPS_AT.index(number)
            yield f"clip-{clip_number}.mp4", lambda path, n=clip_number: _clip(renderer, path, n)
        yield f"person-{i:02d}-{k}.jpg", lambda path, i=i, k=k: _photo(renderer, path, i, k)


def _photo(renderer: Renderer, path: Path, number: int, photo: int) -> Truth:
    person_seed, shot_seed = held_out_shot(number, photo)
    person = person_from_seed(person_seed)
    shot = shot_from_seed(person, shot_seed)
    picture = renderer.render(person, shot, SIDE, WIDER)
    Image.fromarray(picture.pixels).save(path, quality=QUALITY, subsampling=0)
    seeds = {"person": person_seed, "shot": shot_seed}
    return seeds | _place(picture.points, picture.box) | {"factors": _factors(shot), "words": words(person, shot)}


def _group(renderer: Renderer, path: Path, number: int) -> Truth:
    pixels, people = group(renderer, GROUPS[number])
    Image.fromarray(pixels).save(path, quality=QUALITY)
    faces: list[Truth] = []
    for member in people:
        seeds = {"person": member.person.seed, "shot": member.shot.seed}
        faces.append(seeds | _place(member.points, member.box) | {"words": words(member.person, member.shot)})
    return {"faces": faces}


def _clip(renderer: Renderer, path: Path, number: int) -> Truth:
    import av

    person_seed, shot_seed = held_out_shot(CLIP_PEOPLE[number], PHOTOS + number)
    person, frames = person_from_seed(person_seed), []
    new = path.with_suffix(".part")
    with av.open(str(new), "w", format="mp4") as file:
        stream = file.add_stream("libx264", RATE, options={"crf": "18", "preset": "slow"})
        stream.width = stream.height = FRAME_SIDE
        stream.pix_fmt = "yuv420p"
        for shot in clip(person, shot_seed, FRAMES):
            picture = renderer.render(person, shot, FRAME_SIDE, WIDER)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture.pixels, format="rgb24")))
            frames.append(_place(picture.points, picture.box) | {"factors": _factors(shot)})
        file.mux(stream.encode())
    os.replace(new, path)
    description = {"age": person.age, "sex": person.sex, "skin": f"{person.skin} skin"}
    return {
        "person": person_seed,
        "shot": shot_seed,
        "side": FRAME_SIDE,
        "rate": RATE,
        "words": description,
        "frames": frames,
    }


def _place(points: np.ndarray, box: np.ndarray) -> Truth:
    return {"points": np.round(points, 4).tolist(), "box": np.round(box, 4).tolist()}


def _factors(shot: Shot) -> list[float]:
    return [round(shot.factors[name], 3) for name in FACTORS]
