"""ComfyUI's VIDEO for clips: where its file lies, where results go, one bar over the whole clip."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
import latent_preview
from comfy_api.latest import InputImpl
from torch import Tensor

from ..media.clip import Span, probe
from ..media.clip_writer import Encoding, check_output

TICKS = 1000
SHARES = {"find": (0.0, 0.15), "strength": (0.15, 0.2), "make": (0.2, 0.95), "check": (0.95, 1.0)}
"""Parts of the bar that the phases of a run take."""


class ClipProgress:
    """Where a run over a clip is. The bar never goes back, and raises where the user has cancelled."""

    def __init__(self, model: Any):
        self._bar = comfy.utils.ProgressBar(TICKS)
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self._ticks, self._face_frames, self._sampled = 0, 0, 0.0

    def expect(self, face_frames: int) -> None:
        """How many faces there are in all frames together: from now on steps move the bar, too."""
        self._face_frames, self._sampled = face_frames, 0.0

    def on_frame(self, phase: str, finished: int, total: int) -> None:
        """``media.video_ports.OnFrame``."""
        low, high = SHARES[phase]
        self._tell(low + (high - low) * (min(finished / total, 1.0) if total else 0.0))

    def on_step(self, step: int, x0: Tensor, x: Tensor, steps: int) -> None:
        """ComfyUI's callback: a preview after every step of an inversion or a sampling, each half of what its faces
        take. What is done again is not expected, and holds the bar before the phase's end."""
        self._sampled += len(x0) / (2 * steps)
        low, high = SHARES["make"]
        share = low + (high - low) * min(self._sampled / self._face_frames, 0.99) if self._face_frames else 0.0
        self._tell(share, self._previewer and self._previewer.decode_latent_to_preview_image("JPEG", x0[:1]))

    def _tell(self, share: float, preview: Any = None) -> None:
        self._ticks = max(self._ticks, round(TICKS * share))
        self._bar.update_absolute(self._ticks, TICKS, preview)


@contextmanager
def stored(video: Any, trimmed: bool = False) -> Generator[tuple[Path, Span]]:
    """The file of a VIDEO and the span of it that is meant; one that is none yet, or is to be ``trimmed`` to its span,
    is written into ComfyUI's temporary folder and is gone afterwards."""
    source = video.get_stream_source() if isinstance(video, InputImpl.VideoFromFile) else None
    window = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    if isinstance(source, str) and not (trimmed and any(window)):
        start, length = window
        yield Path(source), Span(start or None, start + length if length else None)
        return
    path = temporary(".mp4")
    try:
        _save(video, path)
        yield path, Span()
    finally:
        path.unlink(missing_ok=True)


def _save(video: Any, path: Path) -> None:
    """In the best quality that this ComfyUI knows, without a workflow."""
    try:
        video.save_to(str(path), crf=1)
    except TypeError:  # 0.3.64 knows no quality
        video.save_to(str(path))


def temporary(suffix: str) -> Path:
    """A new name in the folder that ComfyUI empties when it starts."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"revpers_{secrets.token_hex(8)}{suffix}"


def result_file(source: Path, encoding: Encoding) -> tuple[Path, Encoding]:
    """Where a clip's result goes and how: an MP4; a Matroska where its sound fits no MP4; VP9 in it where H.264 does
    not take its size. Raises ValueError for clips that cannot be kept as they are."""
    form, path = probe(source), temporary(".mp4")
    matroska, refusals = path.with_suffix(".mkv"), list[ValueError]()
    for file, way in ((path, encoding), (matroska, encoding), (matroska, replace(encoding, codec="vp9"))):
        try:
            check_output(form, way, file)
            return file, way
        except ValueError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def as_video(path: Path) -> Any:
    """A VIDEO of a file."""
    return InputImpl.VideoFromFile(str(path))


def stop_if_cancelled() -> None:
    """Raises ComfyUI's InterruptProcessingException where the user has cancelled."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def say(node: str | None, text: str) -> None:
    """Words on a box while it runs."""
    import server  # ComfyUI's own, which runs by now

    running = getattr(getattr(server, "PromptServer", None), "instance", None)
    if node and running is not None:
        running.send_progress_text(text, node)
