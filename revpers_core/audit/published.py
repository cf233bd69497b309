"""What other methods' authors report on CelebA-HQ and FFHQ, to stand beside one's own figures."""

from collections.abc import Sequence
from typing import NamedTuple

SOURCE = (
    "NullFace's comparison (Kung et al. 2025), as its authors report it: re-identification by AdaFace and FaceNet in "
    "percent, distances of expression, gaze and pose by networks of theirs, FID"
)
NAMES = ("re-ID AdaFace %", "re-ID FaceNet %", "expression", "gaze", "pose", "FID")


class Published(NamedTuple):
    """A method's figures in the order of ``NAMES``; None where there is none."""

    method: str
    celebahq: tuple[float | None, ...]
    ffhq: tuple[float | None, ...]


NONE = (None,) * len(NAMES)
PUBLISHED = (
    Published("NullFace", (0.208, 0.289, 10.03, 0.165, 0.053, 8.2), (0.343, 0.383, 9.85, 0.186, 0.056, 8.8)),
    Published("FAMS", (3.13, 0.866, 10.00, 0.164, 0.053, 17.1), (14.15, 5.57, 8.82, 0.176, 0.047, 11.2)),
    Published("FALCO", (0.104, 0.100, 10.21, 0.277, 0.088, 39.2), NONE),
    Published("RiDDLE", NONE, (0.510, 0.042, 10.04, 0.215, 0.081, 69.3)),
    Published("LDFA", (10.28, 4.28, 8.65, 0.260, 0.092, 8.1), (11.15, 4.93, 10.39, 0.353, 0.113, 9.9)),
    Published("DP2", (0.835, 0.722, 9.91, 0.262, 0.161, 16.9), (1.88, 1.19, 10.18, 0.299, 0.163, 18.6)),
)


def published_table(dataset: str) -> tuple[list[str], Sequence[tuple[str | float | None, ...]]]:
    """Heads and rows of the methods that report on "celebahq" or "ffhq"."""
    rows = [(method.method, *getattr(method, dataset)) for method in PUBLISHED if getattr(method, dataset) != NONE]
    return ["method", *NAMES], rows
