"""What judges see in originals and results: one record a face. Whatever cannot be compared counts against privacy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.face import Face
from ..faces.geometry import crop_face, face_in_aligned
from ..faces.judges import Judge, knows_mirror_image
from ..faces.merge import same_face
from ..metrics.gaze import gaze_distance
from ..metrics.landmarks import expression_distance, pose_distance
from .alignment_check import SIDE, Surround, around, mixed_up, thumb

Detect = Callable[[Tensor], list[Face]]
PANEL = 160
"""Pixels of the crops that a picture shows."""
SHAPE = 0.02
"""Relative difference of aspect up to which a result is taken for its original at another size."""


@dataclass(frozen=True)
class ImagePair:
    """An original beside its result.

    name: how people call the picture. original, result: (3, H, W) in [0, 1], of one shape but for scale; the result
    is None where there is none. unread: says why one of the two cannot be read, where that is so; the original may be
    None then."""

    name: str
    original: Tensor | None
    result: Tensor | None
    unread: str = ""


class FaceComparison(NamedTuple):
    """One face of an original. likeness: to what is there now, one a judge, NaN where it cannot be told. known: whether
    that judge takes it for the same person. blind: whether that judge does not know the original in its own mirror
    image, so that what it says means nothing. lost: nothing is left there that a judge could see. pose (degrees),
    expression and gaze (eye distances) from five points, None where no face is found there any more. before, after:
    crops of ``PANEL`` pixels for a picture, originals among them: keep them private.
    """

    image: str
    number: int
    face: Face
    likeness: tuple[float, ...]
    known: tuple[bool, ...]
    blind: tuple[bool, ...]
    lost: bool
    pose: float | None
    expression: float | None
    gaze: float | None
    before: Tensor
    after: Tensor

    @property
    def failed(self) -> bool:
        """Whether anything speaks against it."""
        return self.lost or any(self.known) or any(self.blind)

    def __str__(self) -> str:
        return f"face {self.number} of {self.image}"


@dataclass(frozen=True)
class Networks:
    """The user's own networks: features of a crop (1, 3, S, S) as (1, D), and a distance (1,) of two crops."""

    features: Callable[[Tensor], Tensor] | None = None
    distance: Callable[[Tensor, Tensor], Tensor] | None = None


NO_NETWORKS = Networks()


class NetworkOutputs(NamedTuple):
    """What the user's own networks see of the faces' crops."""

    before: list[Tensor]
    after: list[Tensor]
    distance: list[float]


class Comparison(NamedTuple):
    """Everything the judges saw.

    faces: every face of every original. embedded: by judge, (sources, results) in their order; it recognises
    people and leaves no report. strangers: by judge, faces of people who are in no original. missing: originals without
    a result of their shape. unseen: originals in which no face was found. mixed: (picture, other picture) where the
    result of the one is the other's. network_outputs: features (D,) of faces before and after,
    and perceptual distances, by the user's own networks. unread: what is said of files that cannot be read."""

    faces: list[FaceComparison]
    embedded: list[tuple[list[Tensor], list[Tensor]]]
    strangers: list[list[Tensor]]
    surrounds: list[Surround]
    missing: list[str]
    unseen: list[str]
    mixed: list[tuple[str, str]]
    network_outputs: NetworkOutputs
    unread: list[str]


def compare(
    pairs: Iterable[ImagePair], judges: Sequence[Judge], detect: Detect | None = None, strangers: Iterable[Tensor] = (),
    networks: Networks = NO_NETWORKS,
) -> Comparison:  # fmt: skip
    """Every face of the originals as every judge sees it, before and after.

    detect: None where pictures are aligned crops with one face each. A judge is shown the face's place in the result,
    and every face that is found in the result as well: the highest likeness counts. strangers: photos of people who are
    in no original, which make a search harder.
    """
    out = Comparison(
        [], [([], []) for _ in judges], [[] for _ in judges], [], [], [], [], NetworkOutputs([], [], []), []
    )  # fmt: skip
    thumbnails: dict[str, tuple[Tensor, Tensor | None]] = {}
    for pair in pairs:
        original = pair.original
        if pair.unread or original is None:
            out.unread.append(pair.unread)
            continue
        result = None if pair.result is None else fitted(pair.result, original)
        thumbnails[pair.name] = (thumb(original), None if result is None else thumb(result))
        if result is None:
            out.missing.append(pair.name)
            continue
        faces = [face_in_aligned(original)] if detect is None else detect(original)
        if not faces:
            out.unseen.append(pair.name)
            continue
        result_faces = None if detect is None else detect(result)
        for number, face in enumerate(faces, 1):
            entry = _compared(pair.name, (original, result), number, face, result_faces)
            out.faces.append(_judged(entry, judges, out.embedded, (original, result), result_faces or []))
            _draw(
                out.network_outputs,
                networks,
                [crop_face(image, face, SIDE).pixels[None] for image in (original, result)],
            )
        out.surrounds.append(around(pair.name, original, result, faces))
    for image in strangers:
        for face in [face_in_aligned(image)] if detect is None else detect(image):
            for judge, embeddings in zip(judges, out.strangers, strict=True):
                embeddings.append(judge.embed(image, face))
    return out._replace(mixed=mixed_up(thumbnails))


def _judged(
    entry: FaceComparison, judges: Sequence[Judge], embedded: list[tuple[list[Tensor], list[Tensor]]],
    images: tuple[Tensor, Tensor], result_faces: Sequence[Face],
) -> FaceComparison:  # fmt: skip
    """The entry with what every judge says; its embeddings go into ``embedded``."""
    original, result = images
    likeness: list[float] = []
    known: list[bool] = []
    blind: list[bool] = []
    for judge, (sources, results) in zip(judges, embedded, strict=True):
        source = judge.embed(original, entry.face)
        candidates = [judge.embed(result, candidate) for candidate in [entry.face, *result_faces]]
        best = max(candidates, key=partial(_likeness, judge, source))
        sources.append(source)
        results.append(best)
        likeness.append(judge.similarity(source, best))
        known.append(judge.same_person(source, best))
        blind.append(not knows_mirror_image(judge, original, entry.face))
    return entry._replace(likeness=tuple(likeness), known=tuple(known), blind=tuple(blind))


def fitted(result: Tensor, original: Tensor) -> Tensor | None:
    """The result at the original's size; None where it is of another shape, and so no result of this picture."""
    if result.shape == original.shape:
        return result
    (h, w), (height, width) = result.shape[-2:], original.shape[-2:]
    if abs(w * height / (h * width) - 1) > SHAPE:
        return None
    sized = interpolate(result[None], (height, width), mode="bicubic", antialias=True, align_corners=False)
    return sized[0].clamp(0, 1)


def _compared(
    name: str, images: tuple[Tensor, Tensor], number: int, face: Face, result_faces: Sequence[Face] | None
) -> FaceComparison:
    """What needs no judge. result_faces: those found in the result, None where nobody looked for any."""
    original, result = images
    after_face = next((candidate for candidate in result_faces or [] if same_face(candidate, face)), None)
    pose = expression = gaze = None
    if after_face is not None:
        before, after = face.points[None], after_face.points[None]
        pose, expression = float(pose_distance(before, after)), float(expression_distance(before, after))
        gaze = float(gaze_distance(original[None], before, result[None], after))
    lost = _blank(result, original, face) if result_faces is None else after_face is None
    crops = (crop_face(image, face, PANEL).pixels for image in images)
    return FaceComparison(name, number, face, (), (), (), lost, pose, expression, gaze, *crops)


def _blank(result: Tensor, original: Tensor, face: Face) -> bool:
    """Whether the face has become one flat colour."""
    flat = [float(crop_face(image, face, PANEL).pixels.std((1, 2)).max()) < 1 / 255 for image in (result, original)]
    return flat == [True, False]


def _draw(outputs: NetworkOutputs, networks: Networks, crops: Sequence[Tensor]) -> None:
    before, after = crops
    if networks.features:
        outputs.before.append(networks.features(before)[0])
        outputs.after.append(networks.features(after)[0])
    if networks.distance:
        outputs.distance.append(float(networks.distance(before, after)[0]))


def _likeness(judge: Judge, source: Tensor, other: Tensor) -> float:
    """NaN counts as the highest likeness."""
    likeness = judge.similarity(source, other)
    return likeness if likeness == likeness else float("inf")
