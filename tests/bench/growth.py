"""How the cost grows with faces, steps and size."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import torch
from meter import cost, middle
from models import Contest
from torch import Tensor

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import framing
from revpers_core.media import gallery
from revpers_core.media.anonymize_file import embedder
from revpers_core.media.photo import PhotoOptions, PhotoPorts, anonymize_photo
from revpers_core.method.types import Plan

GAP = 20
"""Pixels between the people of a made-up photo."""
Row = dict[str, float]


def faces(contest: Contest, plan: Plan, counts: Sequence[int], repeats: int) -> dict[str, list[Row]]:
    """Whole photos, one face after the other, and aligned crops in one batch."""
    ours = contest.ours

    def photo(count: int) -> Callable[[], object]:
        image, there = crowd(count, ours.size)
        tools = PhotoPorts(lambda _: list(there), embedder(ours), ours.face_inverter(plan), ours.size)
        return lambda: anonymize_photo(image, tools, PhotoOptions(plan.guidance))

    def crops(count: int) -> Callable[[], object]:
        batch = torch.cat([gallery.aligned_face(20 + i, 0, ours.size)[None] for i in range(count)])
        return lambda: ours.anonymize(batch, plan)

    return {"photo": _rows(contest, counts, photo, repeats), "crops": _rows(contest, counts, crops, repeats)}


def steps(contest: Contest, plan: Plan, counts: Sequence[int], repeats: int) -> list[Row]:
    def run(count: int) -> Callable[[], object]:
        return lambda: contest.ours.anonymize(contest.image, replace(plan, steps=count))

    return _rows(contest, counts, run, repeats)


def sizes(contest: Contest, plan: Plan, sides: Sequence[int], repeats: int) -> list[Row]:
    """Sides in pixels."""

    def run(side: int) -> Callable[[], object]:
        image = gallery.aligned_face(20, 0, side)[None]
        return lambda: contest.ours.anonymize(image, plan)

    return _rows(contest, sides, run, repeats)


def crowd(count: int, side: int) -> tuple[Tensor, list[Face]]:
    """A grey photo with so many rendered people in a row, and where they are."""
    photo = torch.full((3, side + 2 * GAP, count * (side + GAP) + GAP), 0.4)
    found: list[Face] = []
    for i in range(count):
        x, y = GAP + i * (side + GAP), GAP
        photo[:, y : y + side, x : x + side] = gallery.aligned_face(20 + i, 0, side)
        points = framing(side).float() + torch.tensor([x, y])
        margin = side / 6
        box = (*(points.amin(0) - margin).tolist(), *(points.amax(0) + margin).tolist())
        found.append(Face(box, points, 0.9))
    return photo, found


def _rows(
    contest: Contest, points: Sequence[int], make: Callable[[int], Callable[[], object]], repeats: int
) -> list[Row]:
    """Medians at each point; the points take turns."""
    runs = {point: make(point) for point in points}
    runs[points[0]]()
    rounds = [{point: cost(contest.ours.sdxl.unet, run) for point, run in runs.items()} for _ in range(repeats)]
    return [{"at": point, **asdict(middle([one[point] for one in rounds]))} for point in points]
