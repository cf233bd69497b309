"""Privacy and preservation over guidance on photos of one's own: people by sub-folder, one of whose photos changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..faces.face import Face
from ..faces.geometry import crop_face, face_in_aligned
from ..faces.judges import Judge
from ..faces.select import largest
from ..media import images
from ..media.folder import pictures, readable
from ..media.photo import blurred
from ..method.anonymize import invert_image, sample_image
from ..method.types import Plan, Ports
from ..metrics.interval import bootstrap, wilson
from ..metrics.landmarks import expression_distance, pose_distance
from .people import matching

GUIDANCES = (0.0, -2.0, -4.0, -6.0, -8.0, -10.0, -12.0)
Detect = Callable[[Tensor], list[Face]]


class Person(NamedTuple):
    """Somebody of whom there are several photos.

    probe: the aligned crop (3, S, S) that is anonymized, of the first photo by name. gallery: the others' crops."""

    name: str
    probe: Tensor
    gallery: list[Tensor]


def plot(rows: Sequence[dict[str, Any]], people: int) -> Any:
    """A matplotlib figure: AUC over guidance, a colour a judge; the wrong identity dashed, shades are 95% intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for k, judge in enumerate(dict.fromkeys(row["judge"] for row in rows)):
        for method, style in (("ours", "-"), ("wrong identity", "--")):
            points = [row for row in rows if (row["judge"], row["method"]) == (judge, method)]
            at = [row["guidance"] for row in points]
            axes.plot(at, [row["auc"].value for row in points], style, color=f"C{k}", label=f"{judge} ({method})")
            if method == "ours":
                low, high = ([getattr(row["auc"], side) for row in points] for side in ("low", "high"))
                axes.fill_between(at, low, high, color=f"C{k}", alpha=0.15)
    axes.axhline(0.5, color="grey", lw=0.8)
    axes.set(title=f"do judges still know them? ({people} people)", xlabel="guidance", ylabel="AUC")
    axes.invert_xaxis()
    axes.legend(fontsize=7)
    return figure


def read_people(folder: Path, size: int, detect: Detect | None = None) -> list[Person]:
    """A person a sub-folder of ``folder``, with two photos or more; the largest face of each counts.

    detect: None where photos are aligned square crops. Raises ValueError where somebody has too few photos, nobody is
    seen in one, or there are fewer than two people.
    """
    people: list[Person] = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        crops = [_crop(path, image, size, detect) for path, image in readable(pictures(home))]
        if len(crops) < 2:
            raise ValueError(f"{home}: a person needs two photos or more, one of them to anonymize, got {len(crops)}")
        people.append(Person(home.name, crops[0], crops[1:]))
    if len(people) < 2:
        raise ValueError(f"{folder}: expected a sub-folder for each of two people or more, got {len(people)}")
    return people


def _crop(path: Path, image: Tensor, size: int, detect: Detect | None) -> Tensor:
    if detect is None:
        if image.shape[-1] != image.shape[-2]:
            raise ValueError(f"{path}: without a detector photos must be aligned square crops: give one")
        return images.resized(image, size)
    faces = detect(image)
    if not faces:
        raise ValueError(f"{path}: no face was found: leave the photo out, or lower --min-score")
    return crop_face(image, largest(faces)[0], size).pixels


def curve(
    people: Sequence[Person], ports: Ports, judges: Sequence[Judge], plan: Plan, detect: Detect | None = None,
    guidances: Sequence[float] = GUIDANCES,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A row a method, guidance and judge: auc, rank1, similarity; pose (degrees) and mouth (eye distances) from five
    points, with a detector, over the ``seen`` share of results in which a face is found;
    judges are shown the face's place in any case, so that none is missed.

    Controls: the photo itself, blur, and guidance away from the next person instead ("wrong identity").
    """
    probes = [person.probe for person in people]
    sources = [
        [[judge.embed(image, face_in_aligned(image)) for image in person.gallery] for person in people]
        for judge in judges
    ]
    yield from _rows("photo", None, probes, people, judges, sources, detect)
    yield from _rows("blur", None, [blurred(probe) for probe in probes], people, judges, sources, detect)
    paths = [invert_image(probe[None], ports, plan) for probe in probes]
    own = [ports.embed(probe[None]) for probe in probes]
    for method, identities in (("ours", own), ("wrong identity", own[1:] + own[:1])):
        for guidance in guidances:
            guided = replace(plan, guidance=guidance)
            results = [
                sample_image(path, identity, ports, guided)[0] for path, identity in zip(paths, identities, strict=True)
            ]
            yield from _rows(method, guidance, results, people, judges, sources, detect)


def _rows(
    method: str, guidance: float | None, results: Sequence[Tensor], people: Sequence[Person], judges: Sequence[Judge],
    sources: Sequence[Sequence[Sequence[Tensor]]], detect: Detect | None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    stayed = _stayed(results, people, detect) if detect else {}
    for judge, galleries in zip(judges, sources, strict=True):
        embeddings = [judge.embed(image, face_in_aligned(image)) for image in results]
        likeness = torch.tensor(
            [[max(judge.similarity(a, b) for b in gallery) for gallery in galleries] for a in embeddings]
        )
        own = likeness.diag()
        matches = matching(likeness)
        yield {
            "judge": judge.name,
            "method": method,
            "guidance": guidance,
            "auc": matches.auc,
            "rank1": matches.rank1,
            "similarity": bootstrap(lambda i, own=own: float(own[i].mean()), len(own)),
            **stayed,
        }


def _stayed(results: Sequence[Tensor], people: Sequence[Person], detect: Detect) -> dict[str, Any]:
    pairs = [(detect(person.probe), detect(image)) for person, image in zip(people, results, strict=True)]
    points = [(largest(a)[0].points, largest(b)[0].points) for a, b in pairs if a and b]
    if not points:
        return {"pose": None, "mouth": None, "seen": wilson(0, len(results))}
    before, after = (torch.stack(side) for side in zip(*points, strict=True))
    pose, mouth = pose_distance(before, after), expression_distance(before, after)
    return {
        "pose": bootstrap(lambda i: float(pose[i].mean()), len(pose)),
        "mouth": bootstrap(lambda i: float(mouth[i].mean()), len(mouth)),
        "seen": wilson(len(points), len(results)),
    }
