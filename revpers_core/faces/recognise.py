"""Recognisers: ONNX networks in ArcFace's form, 112 x 112 pixels to an embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..identity import scaled
from ..types import Identity, NoFaceError
from .geometry import face_of_aligned
from .sessions import open_network

RECOGNISERS = ("w600k", "glintr100")
"""How the recognisers of insightface's packs are called: tried before the other files."""


@dataclass(frozen=True)
class FaceModel:
    """A recogniser with what is known of its form.

    session: anything with onnxruntime's ``run`` and ``get_inputs``. mean, std: of its RGB input in 0...255.
    min_norm: raw features shorter than this are no face; 0 for recognisers whose length says nothing of that.
    """

    session: Any
    name: str
    mean: float = 127.5
    std: float = 127.5
    min_norm: float = 0.0

    def features(self, faces: Tensor) -> Tensor:
        """Raw features (B, D) float32 of faces (B, 3, 112, 112) in [0, 1], RGB."""
        pixels = ((faces.float().cpu() * 255 - self.mean) / self.std).numpy().astype(np.float32)
        (feed,) = self.session.get_inputs()
        return torch.cat([torch.from_numpy(self.session.run(None, {feed.name: one[None]})[0]) for one in pixels])

    def embed(self, image: Tensor, scale: float = 1.0) -> Identity:
        """Identity of aligned square crops (B, 3, S, S) in [0, 1], one face each. Raises NoFaceError."""
        if image.shape[-1] != image.shape[-2]:
            raise ValueError(
                f"image: expected an aligned square crop of one face, got {image.shape[-1]} x {image.shape[-2]} pixels:"
                " crop the photo to a square around the face"
            )
        return self.identify(face_of_aligned(image), scale)

    def identify(self, faces: Tensor, scale: float = 1.0) -> Identity:
        """Identity of faces (B, 3, 112, 112) in [0, 1], aligned as ArcFace takes them. Raises NoFaceError."""
        features = self.features(faces)
        for i, norm in enumerate(features.norm(dim=-1).tolist()):
            if not norm > self.min_norm:  # NaN included
                raise NoFaceError(
                    f"image: {self.name} sees no face in image {i + 1} of {len(features)}: use a clearer photo, or "
                    "crop it to a square around one face"
                )
        return scaled(features, scale)


def load(path: str | Path, provider: str = "cpu", **form: float) -> FaceModel:
    """Open an ArcFace-form ONNX recogniser ((1 or N, 3, 112, 112) -> (N, 512)).

    provider: auto, cpu or cuda. ``form``: mean, std, min_norm where they differ from insightface's. Raises ValueError
    for a file of another form.
    """
    path = Path(path)
    session = open_network(path, provider)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, 112, 112] or outputs[0].shape[-1] != 512:
        raise ValueError(
            f"{path.name} is no ArcFace recogniser (expected (N, 3, 112, 112) -> (N, 512), got "
            f"{inputs[0].shape} -> {outputs[0].shape}): load w600k_r50.onnx (buffalo_l) or one like it"
        )
    return FaceModel(session, path.stem, **form)


def load_first(paths: Sequence[Path]) -> FaceModel:
    """The recogniser among a model pack's files (insightface packs hold detectors and landmark nets too).

    Raises ValueError when none of them is one.
    """
    for path in sorted(paths, key=lambda path: not path.name.startswith(RECOGNISERS)):
        try:
            return load(path)
        except ValueError:
            continue
    names = ", ".join(path.name for path in paths)
    raise ValueError(f"no ArcFace recogniser among {names}: load the buffalo_l or antelopev2 pack")
