"""What some adapters see of a face beside its embedding: the features that CLIP's image encoder has of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..method.types import FACE_SIDE, Identity

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's input, by colour."""


@dataclass(frozen=True)
class FaceVision:
    """CLIP ViT-H behind one call. encode: pixels (B, 3, 224, 224), normalised as CLIP's -> its last but one hidden
    state (B, 257, 1280)."""

    encode: Callable[[Tensor], Tensor]

    @cached_property
    def null_features(self) -> Tensor:
        """(1, 257, 1280) of a picture that is zero once normalised: the null identity's, as in the authors' code."""
        return self.encode(torch.zeros(1, 3, FACE_SIDE, FACE_SIDE))

    def features(self, identity: Identity) -> Tensor:
        """(B, 257, 1280) of the identities' faces. Raises ValueError where somebody comes without a picture."""
        if not identity.is_somebody.any():
            return self.null_features.expand(len(identity.embedding), -1, -1)
        if identity.face is None:
            raise ValueError(
                "identity: this adapter also looks at the face through CLIP, but the identity came without a picture: "
                "read it from a photo with 'Who Is It'"
            )
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        pixels = (identity.face.float().cpu() - mean) / std
        faces = zip(pixels.split(1), identity.is_somebody.tolist(), strict=True)
        return torch.cat(
            [self.encode(face_pixels) if is_somebody else self.null_features for face_pixels, is_somebody in faces]
        )
