"""Recognisers: ONNX networks in ArcFace's form, 112 x 112 pixels to an embedding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..method.identity import identity_of
from ..method.pixels import as_images, check_pixels
from ..method.population import Population
from ..method.types import FACE_SIDE, Identity, NoFaceError
from .detector import enlarged
from .face import Face
from .geometry import face_for_recogniser, face_in_aligned, face_of_aligned
from .onnx_session import Place, first_of, open_network
from .population import find

RECOGNISERS = ("w600k", "glintr100")
"""How the recognisers of insightface's packs are called: tried before the other files."""


@dataclass(frozen=True)
class FaceModel:
    """A recogniser with what is known of its form.

    session: anything with onnxruntime's ``run`` and ``get_inputs``. mean, std: of its input in 0...255, one number or
    one a channel. min_norm: raw features shorter than this are no face; 0 for recognisers whose length says nothing of
    that. size: of its square input in pixels. channels: the order of its input's, "RGB" or "BGR". output: the
    embedding's name, empty for the first output. population: how it sees people in general, where that was measured.
    """

    session: Any
    name: str
    mean: float | Sequence[float] = 127.5
    std: float | Sequence[float] = 127.5
    min_norm: float = 0.0
    size: int = 112
    channels: str = "RGB"
    output: str = ""
    population: Population | None = None

    def features(self, faces: Tensor) -> Tensor:
        """Raw features (B, D) float32 of faces (B, 3, S, S) in [0, 1], RGB, S its ``size``."""
        pixels = faces.float().cpu() * 255
        pixels = pixels.flip(1) if self.channels == "BGR" else pixels
        pixels = ((pixels - _a_channel(self.mean)) / _a_channel(self.std)).numpy().astype(np.float32)
        (feed,), output_names = self.session.get_inputs(), [self.output] if self.output else None
        return torch.cat(
            [torch.from_numpy(self.session.run(output_names, {feed.name: face[None]})[0]) for face in pixels]
        )

    def embed(self, image: Tensor, scale: float = 1.0) -> Identity:
        """Identity of aligned square crops (B, 3, S, S) in [0, 1], one face each. Raises NoFaceError."""
        image = as_images(image)
        if image.shape[-1] != image.shape[-2]:
            raise ValueError(
                f"image: expected an aligned square crop of one face, got {image.shape[-1]} x {image.shape[-2]} pixels:"
                " crop the photo to a square around the face"
            )
        identity = self.identify(face_of_aligned(image), scale)
        readers = (FaceReader(self),) * len(image)
        return replace(identity, face=face_of_aligned(image, FACE_SIDE).float().cpu(), readers=readers)

    def identify_face(self, photo: Tensor, face: Face, scale: float = 1.0) -> Identity:
        """Identity of a face in a photo (3, H, W) in [0, 1]. Raises NoFaceError."""
        identity = self.identify(face_for_recogniser(photo, face)[None], scale)
        aligned = face_for_recogniser(photo, face, FACE_SIDE)[None].float().cpu()
        return replace(identity, face=aligned, readers=(FaceReader(self, face, (photo.shape[-2], photo.shape[-1])),))

    def identify(self, faces: Tensor, scale: float = 1.0) -> Identity:
        """Identity of faces (B, 3, 112, 112) in [0, 1], aligned as ArcFace takes them. Raises NoFaceError."""
        check_pixels(faces, "faces")
        features = self.features(faces)
        for i, norm in enumerate(features.norm(dim=-1).tolist()):
            if not norm > self.min_norm:  # NaN included
                raise NoFaceError(
                    f"image: {self.name} sees no face in image {i + 1} of {len(features)}: use a clearer photo, or "
                    "crop it to a square around one face"
                )
        return replace(identity_of(features, scale), recogniser=self.name, population=self.population)


@dataclass(frozen=True)
class FaceReader:
    """Reads who is in a crop (3, h, w) of an image in which a face was read before. face: in that image, of ``size``
    (H, W); None where it is framed as FFHQ's are."""

    model: FaceModel
    face: Face | None = None
    size: tuple[int, int] = (0, 0)

    def place(self, crop: Tensor) -> Face:
        """Where the face is."""
        if self.face is None:
            return face_in_aligned(crop)
        return enlarged(self.face, crop.shape[-1] / self.size[1], crop.shape[-2] / self.size[0])

    def __call__(self, crop: Tensor) -> Tensor | None:
        """The embedding (512,), None where the recogniser sees no face."""
        crop = crop.float().cpu()
        try:
            if self.face is not None:
                return self.model.identify(face_for_recogniser(crop, self.place(crop))[None]).embedding[0]
            return self.model.identify(face_of_aligned(crop[None])).embedding[0]
        except NoFaceError:
            return None


def _a_channel(value: float | Sequence[float]) -> Tensor:
    return torch.tensor(value, dtype=torch.float32).view(-1, 1, 1)


def load(path: str | Path, provider: str | Place = "cpu", **form: Any) -> FaceModel:
    """Open an ArcFace-form ONNX recogniser ((1 or N, 3, 112, 112) -> (N, 512)).

    provider: as ``open_network`` takes it. ``form``: mean, std, min_norm where they differ from insightface's. Raises
    ValueError for a file of another form.
    """
    path = Path(path)
    session = open_network(path, provider)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, 112, 112] or outputs[0].shape[-1] != 512:
        raise ValueError(
            f"{path.name} is no ArcFace recogniser (expected (N, 3, 112, 112) -> (N, 512), got "
            f"{inputs[0].shape} -> {outputs[0].shape}): load w600k_r50.onnx (buffalo_l) or one like it"
        )
    return FaceModel(session, path.stem, population=find(path), **form)


def load_with_spec(
    path: str | Path, size: int, channels: str, output: str = "", provider: str | Place = "cpu", **form: Any
) -> FaceModel:
    """Open a recogniser of another form (N, 3, size, size) -> (N, D). ``form``: mean and std, one number or three.

    Raises ValueError where the file or the form does not fit.
    """
    path = Path(path)
    session = open_network(path, provider)
    inputs, names = session.get_inputs(), [output.name for output in session.get_outputs()]
    expected = [3, size, size]
    if (
        len(inputs) != 1
        or len(inputs[0].shape) != 4
        or any(
            isinstance(actual, int) and actual != want
            for actual, want in zip(inputs[0].shape[1:], expected, strict=True)
        )
    ):
        raise ValueError(
            f"{path.name} takes {[feed.shape for feed in inputs]}, not (N, 3, {size}, {size}): describe it"
        )
    if output and output not in names:
        raise ValueError(f"{path.name} has no output {output!r}, only {', '.join(names)}")
    if channels not in ("RGB", "BGR"):
        raise ValueError(f"{path.name}: channels must be RGB or BGR, got {channels!r}")
    for name, value in form.items():
        if _a_channel(value).numel() not in (1, 3):
            raise ValueError(f"{path.name}: {name} must be one number or three, got {value}")
    model = FaceModel(session, path.stem, size=size, channels=channels, output=output, **form)
    embedding = model.features(torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)))
    if embedding.ndim != 2 or not torch.isfinite(embedding).all() or not embedding.any():
        raise ValueError(
            f"{path.name} gives {tuple(embedding.shape)} for a picture, no embedding (1, D): describe its output"
        )
    return model


def load_first(paths: Sequence[Path], provider: str | Place = "cpu") -> FaceModel:
    """The recogniser among a model pack's files (insightface packs hold detectors and landmark nets too).

    Raises ValueError when none of them is one.
    """
    ordered = sorted(paths, key=lambda path: not path.name.startswith(RECOGNISERS))
    model = first_of(ordered, lambda path: load(path, provider))
    if model is None:
        names = ", ".join(path.name for path in paths)
        raise ValueError(f"no ArcFace recogniser among {names}: load the buffalo_l or antelopev2 pack")
    return model
