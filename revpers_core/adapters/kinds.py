"""The kinds of identity adapters that people have, and which of them a file is: by its tensors, then by its name.

Forms and names are those of the authors' own classes: IP-Adapter (arXiv:2308.06721) with its FaceID family, and
InstantID (arXiv:2401.07519).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

AUTO = "auto"
"""The kind that tensors and name say."""
RECOGNISERS = {"buffalo_l": "w600k", "antelopev2": "glintr100"}
"""insightface's packs, and how the file of their recogniser starts: embeddings of one mean nothing to the other."""


class Projection(Enum):
    """How an identity becomes tokens."""

    MLP = "mlp"
    """Two layers and a norm on the embedding."""
    PLUS = "plus"
    """The same, then a perceiver that reads CLIP's features of the face (FaceID Plus)."""
    RESAMPLER = "resampler"
    """A perceiver with queries of its own."""


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of adapter beside its tensors.

    tokens: an identity's. lora: whether the file brings a LoRA, which belongs to it at strength 1. normed: takes
    embeddings of unit length, else the recogniser's raw ones. recogniser: insightface's pack whose embeddings it was
    trained on; empty where it takes none. clip: it looks at the face through CLIP ViT-H as well. shortcut: the
    perceiver's tokens are added to the embedding's (Plus v2) instead of taking their place. control: made for a
    ControlNet with the face's five points. measured: on faces, here; what is not is experimental.
    """

    name: str
    projection: Projection
    tokens: int
    lora: bool = False
    normed: bool = True
    recogniser: str = "buffalo_l"
    clip: bool = False
    shortcut: bool = False
    control: bool = False
    measured: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("faceid", Projection.MLP, 4, lora=True, measured=True),
        Kind("faceid-plusv2", Projection.PLUS, 4, lora=True, clip=True, shortcut=True),
        Kind("faceid-plus", Projection.PLUS, 4, lora=True, clip=True),
        Kind("faceid-portrait", Projection.MLP, 16),
        Kind("faceid-portrait-unnorm", Projection.RESAMPLER, 16, normed=False),
        Kind("instantid", Projection.RESAMPLER, 16, normed=False, recogniser="antelopev2", control=True),
        Kind("plus-face", Projection.RESAMPLER, 16, recogniser="", clip=True),
    )
}
CONTROL_STRENGTH = 0.8
"""Of InstantID's ControlNet in its own pipeline."""
EMBEDDING, CLIP_WIDTH, SDXL_WIDTH = 512, 1280, 2048
CLIP_FILE = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
WANTED = "ip-adapter-faceid_sdxl.bin (h94/IP-Adapter-FaceID)"


def kind_of(image_proj: Mapping[str, Tensor], lora: bool, name: str = "", chosen: str = AUTO) -> Kind:
    """The kind of an adapter file. lora: whether it holds one. name: the file's. chosen: the user's word for it.

    Raises ValueError for a projection of another form, for a choice that does not fit it, and where neither tensors nor
    name tell two kinds apart.
    """
    fitting = _fitting(image_proj, lora)
    if chosen != AUTO:
        if chosen not in fitting:
            raise ValueError(
                f"its tensors are those of {' or '.join(fitting)}, not of {chosen}: leave the kind at auto"
            )
        return KINDS[chosen]
    matching = fitting if len(fitting) == 1 else _by_name(fitting, name, image_proj)
    if len(matching) != 1:
        raise ValueError(f"it may be {' or '.join(fitting)}, and its name does not say which: choose the kind")
    return KINDS[matching[0]]


def _fitting(image_proj: Mapping[str, Tensor], lora: bool) -> list[str]:
    """Names of the kinds that have such a projection."""
    if "perceiver_resampler.proj_in.weight" in image_proj:
        return ["faceid-plusv2", "faceid-plus"]
    if "latents" in image_proj and "proj_in.weight" in image_proj:
        width = image_proj["proj_in.weight"].shape[1]
        by_width = {EMBEDDING: ["instantid", "faceid-portrait-unnorm"], CLIP_WIDTH: ["plus-face"]}
        if width in by_width:
            return by_width[width]
        raise ValueError(f"its resampler reads {width}-d features, not {EMBEDDING} or {CLIP_WIDTH}: load {WANTED}")
    if not {"proj.0.weight", "proj.2.weight", "norm.weight"} <= set(image_proj):
        raise ValueError(f"this is not an adapter for faces (no identity projection that is known): load {WANTED}")
    entry = image_proj["proj.0.weight"].shape[1]
    if entry != EMBEDDING:
        raise ValueError(f"an identity adapter takes {EMBEDDING}-d identities, this one {entry}-d: load {WANTED}")
    tokens = image_proj["proj.2.weight"].shape[0] / image_proj["norm.weight"].shape[0]
    if tokens == 16 and not lora:
        return ["faceid-portrait"]
    if tokens != 4:
        raise ValueError(f"expected 4 identity tokens, or 16 without a LoRA (Portrait), got {tokens:g}: load {WANTED}")
    return ["faceid"]


def _by_name(fitting: list[str], name: str, image_proj: Mapping[str, Tensor]) -> list[str]:
    """Which of the kinds a file's name means. Of Plus only v2 was made for SDXL, and InstantID's own file is called
    ``ip-adapter.bin``."""
    stem = name.lower().rsplit(".", 1)[0].replace("-", "").replace("_", "")
    if "faceid-plus" in fitting:
        if "plusv2" in stem or image_proj["norm.weight"].shape[0] == SDXL_WIDTH:
            return ["faceid-plusv2"]
        return ["faceid-plus"] if "plus" in stem else []
    if "unnorm" in stem or "portrait" in stem:
        return ["faceid-portrait-unnorm"]
    return ["instantid"] if "instantid" in stem or stem == "ipadapter" else []
