"""Frozen records, checked once, and the ports through which the core reaches a host's networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import torch
from torch import Tensor

from .guidance import ALWAYS, Interval, branches_needed
from .population import Population
from .schedule import Spacing, sigmas
from .settings import AT_ONCE, GUIDANCE, SEED, SKIP, STEPS, STUDENT
from .students import visited
from .trajectory import Branches, Need

PAPER_GUIDANCE = GUIDANCE.default


class NoFaceError(ValueError):
    """No face was found where one must be: nothing is handed back, so that nobody takes it for anonymized."""

    __module__ = "revpers_core"  # where it is imported from; ComfyUI would show the path of our folder


FACE_SIDE = 224
"""Pixels of the aligned face that goes with an identity: CLIP's input."""


@dataclass(frozen=True)
class Identity:
    """Who someone is to the conditioning recogniser.

    embedding: (B, 512) float32, unit length times the scale that was asked for; zero is nobody (the null identity).
    length: (B,) of the recogniser's raw features, which some adapters take; None where it is not known. face: the
    aligned faces (B, 3, 224, 224) in [0, 1], which some adapters look at; None where there is no photo. points: (B, 5,
    2), where a crop has eyes, nose tip and mouth corners, in shares of its side; None for crops framed as FFHQ's.
    recogniser: the name of its file. population: how it sees people in general, where that was measured. readers: one
    an image or none, ``faces.recognise.FaceReader``: they read again who is in the same crop, so that a face that did
    not change is seen.

    It recognises people: keep it as private as the photo.
    """

    embedding: Tensor
    length: Tensor | None = None
    face: Tensor | None = None
    points: Tensor | None = None
    recogniser: str = ""
    population: Population | None = None
    readers: tuple[Any, ...] = ()

    def __post_init__(self):
        if self.embedding.ndim != 2 or self.embedding.shape[1] != 512:
            raise ValueError(f"Identity.embedding must be (B, 512), got {tuple(self.embedding.shape)}")
        if not torch.isfinite(self.embedding).all():
            raise ValueError("Identity.embedding holds NaN or infinite values: the face model cannot be used")
        shapes = {"length": (), "face": (3, FACE_SIDE, FACE_SIDE), "points": (5, 2)}
        for name, shape in shapes.items():
            value: Tensor | None = getattr(self, name)
            if value is not None and tuple(value.shape) != (len(self.embedding), *shape):
                raise ValueError(f"Identity.{name} must be {('B', *shape)}, got {tuple(value.shape)}")

    @property
    def is_somebody(self) -> Tensor:
        """(B,) bool: whose embedding is not zero."""
        return self.embedding.any(1)

    @property
    def raw(self) -> Tensor:
        """(B, 512): the recogniser's features before they were made unit length, times the scale. Raises ValueError
        where that length is not known."""
        if self.length is None:
            if self.is_somebody.any():
                raise ValueError(
                    "identity: this adapter takes the recogniser's features in their own length, which is not known of "
                    "this identity: read it from a photo with 'Who Is It'"
                )
            return self.embedding
        return self.embedding * self.length[:, None]

    def rows(self, rows: slice) -> "Identity":
        """The identities of some of a batch's images; one that stands for all stays so."""
        if len(self.embedding) == 1:
            return self
        names = ("embedding", "length", "face", "points")
        selected = {name: value[rows] for name in names if (value := getattr(self, name)) is not None}
        return replace(self, **selected, readers=self.readers[rows])

    @property
    def null(self) -> "Identity":
        """The null identity in these crops, at their points where they are known."""
        return Identity(self.embedding[: 1 if self.points is None else None] * 0, points=self.points)


@dataclass(frozen=True)
class Attribute:
    """Who the new face may look like, in words; empty words leave it open.

    age: e.g. "young". sex: e.g. "woman". look: e.g. "freckles, red hair". text: anything else, put last.
    """

    age: str = ""
    sex: str = ""
    look: str = ""
    text: str = ""

    @property
    def prompt(self) -> str:
        """The words as one prompt, e.g. "old woman, dark skin, smiling"; empty when nothing is said."""
        subject = " ".join(filter(None, (self.age.strip(), self.sex.strip())))
        return ", ".join(filter(None, (subject, self.look.strip(), self.text.strip())))


class Method(Enum):
    """How a run leads away from a person; see method/steering.py."""

    REVERSE = "reverse"
    """Reverse personalization: away from the person's identity."""
    NULLFACE = "nullface"
    """NullFace: towards the opposite identity, eyes, mouth and surround kept."""


@dataclass(frozen=True)
class Plan:
    """Settings of a run; the defaults are the paper's.

    steps: 2 or more, per phase. skip: [0, 1), part of the schedule left out. guidance: any finite number, negative
    leads away from the person. seed: >= 0; with the settings and the output it helps to undo the run, so keep it.
    spacing: how the steps lie between the first level and the last. one_branch: nobody's inversion without any words
    in either branch, which are then the same and cost one evaluation a step; the replay's conditional branch is
    wordless too. Another result than the paper's. method: how it leads away. interval: levels at which guidance
    acts, in both phases. at_once: inversion steps a network call; 0 takes as many as memory allows where only rounding
    changes (a float32 network), else one. In half precision more than one is another result (docs/benchmarks.md).
    student: the few-step student that the network is, of ``students.STUDENTS``, whose levels alone are visited.
    """

    steps: int = STEPS.default
    skip: float = SKIP.default
    guidance: float = GUIDANCE.default
    seed: int = SEED.default
    attribute: Attribute = field(default_factory=Attribute)
    at_once: int = AT_ONCE.default
    spacing: Spacing = Spacing.TIME
    one_branch: bool = False
    interval: Interval = ALWAYS
    method: Method = Method.REVERSE
    student: str = STUDENT.default

    def __post_init__(self):
        if not 0 <= self.interval.low < self.interval.high:
            raise ValueError(f"the interval of guidance must be 0 <= low < high, got {tuple(self.interval)}")
        AT_ONCE.check("at_once", self.at_once)
        GUIDANCE.check("guidance", self.guidance)
        SEED.check("seed", self.seed)
        if self.student != STUDENT.default and self.spacing is not Spacing.TIME:
            raise ValueError(f"spacing: the student {self.student} knows its own levels, leave the spacing as it is")

    def levels(self, sigma_of: Callable[[int], float]) -> tuple[float, ...]:
        """The run's sigmas by a model's noise schedule, one more than its steps."""
        return sigmas(visited(self.student, self.steps, self.skip, self.spacing, sigma_of), sigma_of)

    def inversion_needs(self, sigma: float) -> Need:
        """The branches that the inversion runs at a level: any guidance must be possible later where there is any."""
        if self.one_branch:
            return Need.UNCOND
        return branches_needed(self.interval.at(sigma, PAPER_GUIDANCE))


class Ports(Protocol):
    """What the main path needs of a host. Images are (B, 3, H, W) float32 in [0, 1]; latents (B, 4, H/8, W/8)."""

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        ...

    def embed(self, image: Tensor) -> Identity:
        """One face an image; raises NoFaceError."""
        ...

    def encode(self, image: Tensor) -> Tensor:
        """Latents at the VAE's mode, in the model's scale."""
        ...

    def decode(self, latents: Tensor) -> Tensor: ...

    def sigma(self, timestep: int) -> float: ...

    def at_once(self, latents: Tensor, requested: int = 0) -> int:
        """Inversion steps a call of the network for such latents; where 0 is wanted as many as fit, 1 where more than
        that is lossy."""
        ...

    def faces_at_once(self, shape: Sequence[int]) -> int:
        """Faces that share a call of the network, for latents of ``shape`` (B, 4, h, w)."""
        ...

    def branches(
        self, identity: Identity, latents: Tensor, prompt: str = "", *, wordless: bool = False,
        instead: Identity | None = None,
    ) -> Branches:  # fmt: skip
        """The network: cond = encoded "" (zeros when wordless) and the identity, uncond = the prompt (zeros when empty)
        and who comes ``instead``, nobody unless given."""
        ...
