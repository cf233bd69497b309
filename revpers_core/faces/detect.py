"""Finding every face: detectors by file, and the views of an image in which they find more."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from ..method.pixels import as_image
from ..method.settings import MIN_SCORE, SMALLEST
from .centerface import CenterFace, free_sizes
from .detector import FLOOR, Detector
from .face import Face
from .merge import looks_like_a_part, merge_faces, overlapping, same_face
from .onnx_session import Network, Place, first_of, open_network
from .scrfd import STRIDES, Scrfd
from .views import View, detect_in_view, downscaled, full_view, padded_view, roll, rotated_view, tiles, upright_view

DETECTORS = ("det_", "scrfd_", "centerface", "retinaface")
"""How detectors' files are called: tried before the other files of a pack."""
TIGHT = ((448, 0.25), (320, 0.75), (192, 0.75), (96, 0.75))
"""Retries on crops that the face fills: longer side in pixels, and the grey around it in lengths of that side."""
SMALL = 320
"""Longer side of the look at which faces that fill the photo are seen."""
SEES = 16
"""Height in pixels of a face that the nets see (CenterFace: all 29 of Solvay 1927 at 512 x 352, 14 at 400 x 275)."""
LEANING = 20
"""Degrees of roll from which on the points are found again in an upright close look."""
NEARER = (0.3, 0.45, 0.6)
"""A face's part of the close looks that tell a small face before a large one from a piece of it."""

SURE = 0.7
"""Score of a face that lies or hangs where upright ones are found: between these, what is none has up to this."""


@dataclass(frozen=True)
class Search:
    """Settings of a search for faces.

    min_score: detections below it are no faces. side: pixels of the longer side of one look. smallest: height in the
    image's pixels of the smallest face that must be found; the smaller, the more tiles. turn: also look at the image
    turned by 90, 180 and 270 degrees, for those who lie or hang: never, only when nothing else is found, or always.
    """

    min_score: float = MIN_SCORE.default
    side: int = 1024
    smallest: float = SMALLEST.default
    turn: Literal["never", "when none", "always"] = "always"

    def __post_init__(self):
        MIN_SCORE.check("min_score", self.min_score)
        if not 64 <= self.side <= 4096:
            raise ValueError(f"side must be from 64 to 4096 pixels, got {self.side}")
        SMALLEST.check("smallest", self.smallest)
        if self.turn not in ("never", "when none", "always"):
            raise ValueError(f"turn must be 'never', 'when none' or 'always', got {self.turn!r}")


def find_faces(image: Tensor, detectors: Sequence[Detector], search: Search | None = None) -> list[Face]:
    """Every face that any of the detectors sees, once, largest first; [] where there is none.

    image: (3, H, W) in [0, 1], RGB. The whole image is searched at ``side`` pixels and small in a grey border, for
    faces that fill it; then tiles, for small ones; when nothing is found, wider borders; then turned images. Heads that
    lean are looked at again upright. A face on a larger and surer one must be seen from near too, else it is a piece of
    that.
    """
    image = as_image(image)
    search = search or Search()
    if not detectors:
        raise ValueError("no face detector was given: load det_10g.onnx (buffalo_l) or centerface.onnx")
    # A small image is looked at enlarged, though no larger than its smallest faces call for.
    side = round(max(image.shape[-2:]) * max(1.0, SEES / search.smallest))
    all_of_it = full_view(image, min(search.side, max(64, side)))
    faces = _united(image, detectors, search, _first(image, all_of_it, search))
    if not faces:
        faces = _united(image, detectors, search, _tight(all_of_it))
    if search.turn == "always" or (search.turn == "when none" and not faces):
        others = _united(image, detectors, search, _turned(all_of_it))
        least = SURE if faces else search.min_score
        others = [
            face
            for face in others
            if face.score > least and not any(overlapping(face, face_found) for face_found in faces)
        ]
        faces = merge_faces([*faces, *others])
    faces = merge_faces([_righted(image, face, detectors, search) for face in faces])
    return [face for face in faces if not _is_a_part(image, face, faces, detectors, search)]


def load(path: str | Path, provider: str | Place = "auto", floor: float = FLOOR) -> Detector:
    """Open a detector's ONNX file and find out by its form which it is: InsightFace's or CenterFace.

    provider: as ``open_network`` takes it. Raises ValueError for a file of another form, RuntimeError where CUDA is not
    there.
    """
    path = Path(path)
    network = open_network(path, provider)
    if _is_scrfd(network):
        return Scrfd(network, path.stem, _fixed_size(network), floor)
    if [len(output.shape) for output in network.get_outputs()] == [4] * 4:
        return CenterFace(open_network(path, provider, free_sizes(path.read_bytes())), path.stem, floor)
    shapes = ", ".join(str(output.shape) for output in network.get_outputs()[:4])
    raise ValueError(
        f"{path.name} is no face detector with 5 points (its {len(network.get_outputs())} outputs: {shapes}): "
        "load det_10g.onnx (buffalo_l), scrfd_10g_bnkps.onnx (antelopev2) or centerface.onnx"
    )


def load_first(paths: Sequence[Path], provider: str | Place = "auto") -> Detector:
    """The detector among a model pack's files. Raises ValueError when none of them is one."""
    ordered = sorted(paths, key=lambda path: not path.name.startswith(DETECTORS))
    detector = first_of(ordered, lambda path: load(path, provider))
    if detector is None:
        names = ", ".join(path.name for path in paths) or "no files"
        raise ValueError(f"no face detector among {names}: load the buffalo_l or antelopev2 pack, or centerface.onnx")
    return detector


def _united(image: Tensor, detectors: Sequence[Detector], search: Search, views: Iterable[View]) -> list[Face]:
    faces = [face for view in views for detector in detectors for face in detect_in_view(view, detector)]
    return merge_faces(
        [_clipped(face, image) for face in faces if face.score >= search.min_score and _within(face, image)]
    )


def _first(image: Tensor, all_of_it: View, search: Search) -> Iterator[View]:
    yield all_of_it
    yield padded_view(downscaled(all_of_it, SMALL), TIGHT[0][1])
    yield from tiles(image, search.side, SEES / search.smallest)


def _tight(all_of_it: View) -> Iterator[View]:
    return (padded_view(downscaled(all_of_it, side), border) for side, border in TIGHT)


def _turned(all_of_it: View) -> Iterator[View]:
    for view in (all_of_it, padded_view(downscaled(all_of_it, SMALL), TIGHT[0][1])):
        yield from (rotated_view(view, quarters) for quarters in (1, 2, 3))


def _righted(image: Tensor, face: Face, detectors: Sequence[Detector], search: Search) -> Face:
    """The face as an upright close look has it: the nets' points drift where a head leans."""
    if abs(roll(face)) < LEANING:
        return face
    upright = [
        candidate
        for candidate in _united(image, detectors, search, [upright_view(image, face)])
        if same_face(candidate, face)
    ]
    return max(upright, key=lambda candidate: candidate.score, default=face)


def _is_a_part(image: Tensor, face: Face, faces: Sequence[Face], detectors: Sequence[Detector], search: Search) -> bool:
    """Whether a face is a piece of one of the others: no close look sees it for itself."""
    if not any(looks_like_a_part(face, other) for other in faces):
        return False
    closer = ([upright_view(image, face, share)] for share in NEARER)
    return not any(
        same_face(candidate, face) for views in closer for candidate in _united(image, detectors, search, views)
    )


def _within(face: Face, image: Tensor) -> bool:
    """Whether the face's middle is in the image, not in a border put around it."""
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    return -0.5 <= x <= image.shape[-1] - 0.5 and -0.5 <= y <= image.shape[-2] - 0.5


def _clipped(face: Face, image: Tensor) -> Face:
    height, width = image.shape[-2:]
    x0, y0, x1, y1 = face.box
    box = (max(x0, -0.5), max(y0, -0.5), min(x1, width - 0.5), min(y1, height - 0.5))
    return Face(box, face.points, face.score)


def _is_scrfd(network: Network) -> bool:
    outputs = network.get_outputs()
    if len(outputs) not in STRIDES:
        return False
    n = len(STRIDES[len(outputs)])
    widths = [output.shape[-1] if output.shape else None for output in outputs]
    return all(a == b or not isinstance(a, int) for a, b in zip(widths, [1] * n + [4] * n + [10] * n, strict=True))


def _fixed_size(network: Network) -> tuple[int, int] | None:
    height, width = network.get_inputs()[0].shape[-2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
