"""One bar over everything that photos take: search, inversions, samplings; with previews, and cancelled at any tick."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import comfy.model_management
import comfy.utils
import latent_preview
from torch import Tensor

from ..faces.detector import Detector
from ..faces.face import Face
from ..media.photo import FaceSampler, PhotoPorts
from ..method.types import Identity

TICKS = 1000
SEARCH = 0.02
"""Share of a photo's part of the bar that the search for faces takes."""
Photo = TypeVar("Photo")


class Progress:
    """Where a run over several photos is. Every photo has the same part of the bar, every face of it the same again,
    one half for the inversion and one for the sampling. The bar never goes back: what must be done again holds it."""

    def __init__(self, model: Any, photos: int):
        self._bar = comfy.utils.ProgressBar(TICKS)
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self._photos, self._photo, self._faces, self._face, self._phase, self._ticks = photos, 0, 1, 0, 0, 0

    def over(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The photos, one after the other; the bar follows."""
        for self._photo, photo in enumerate(photos):
            self._tell(0.0)
            yield photo

    def watching(self, ports: PhotoPorts) -> PhotoPorts:
        """The ports of a photo, followed by the bar."""

        def search(photo: Tensor) -> list[Face]:
            faces = ports.detect(photo)
            self._faces = max(1, len(faces))
            return faces

        def invert_face(crop: Tensor, identity: Identity, index: int) -> FaceSampler:
            self._face, self._phase, self._faces = index, 0, max(self._faces, index + 1)
            sampler = ports.invert_face(crop, identity, index)

            def sample(guidance: float, instead: Identity | None = None) -> Tensor:
                self._phase = 1
                return sampler(guidance, instead)

            return sample

        return replace(ports, detect=search, invert_face=invert_face)

    def on_step(self, step: int, x0: Tensor, x: Tensor, steps: int) -> None:
        """ComfyUI's callback: called after every step of an inversion or a sampling."""
        share = (self._face + (self._phase + (step + 1) / steps) / 2) / self._faces
        preview = self._previewer and self._previewer.decode_latent_to_preview_image("JPEG", x0)
        self._tell(SEARCH + (1 - SEARCH) * share, preview)

    def _tell(self, share: float, preview: Any = None) -> None:
        """share: of the photo's part. ComfyUI's bar raises where the user has cancelled."""
        self._ticks = max(self._ticks, round(TICKS * (self._photo + share) / self._photos))
        self._bar.update_absolute(self._ticks, TICKS, preview)


def interruptible(detectors: Iterable[Detector]) -> list[Detector]:
    """The detectors, which look many times at a large photo, stopping at the next look when the user cancels."""

    def watched(detector: Detector) -> Detector:
        def look(image: Tensor) -> list[Face]:
            comfy.model_management.throw_exception_if_processing_interrupted()
            return detector(image)

        return look

    return [watched(detector) for detector in detectors]
