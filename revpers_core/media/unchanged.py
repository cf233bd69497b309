"""The last look at faces that were sampled again: whoever came out as they were is an error, never a picture."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from ..faces.face import Face
from ..faces.geometry import face_in_aligned
from ..faces.judges import Judge
from ..method.identity import SAME_PERSON
from ..method.types import Identity
from ..metrics.change import change
from .strength import StillRecognisedError

ANOTHER = 0.5
"""Similarity of an identity to the photo below which it is somebody else's (the pocket recogniser on 40 people: .89 and
more to the VAE's picture of the same photo, .46 and less to strangers')."""
OWN = 0.85
"""Similarity from which on an identity was read from the very photo, whose sharper picture is the one to compare."""
HARDLY = 3 / 255
"""Mean change of a face's pixels below which it is as it was (the pocket model at guidance -5: 5 and more of 255, at
-0.5 or skip .99: mostly 2 and less)."""
CURE = "use stronger guidance or less skip, and take out what changes the model's guidance (CFG)"


def check_changed(
    before: Tensor, after: Tensor, identity: Identity, where: Tensor | None = None, judges: Sequence[Judge] = ()
) -> None:
    """Raises StillRecognisedError, telling what to do, unless each of the faces is somebody else now.

    before, after: crops (B, 3, H, W) in [0, 1], both decoded by the VAE. identity: the person to be led away from,
    one for all or one a crop, with its readers; without them only the change is looked at. where: (B or 1, 1, h, w),
    above 0 where the crops may change; everywhere unless given. judges: none of them may know anybody again either.
    """
    if before.shape != after.shape:
        raise ValueError(
            f"latent: expected one of the inverted photo's size, {before.shape[-1]} x {before.shape[-2]} pixels, got "
            f"{after.shape[-1]} x {after.shape[-2]}: check it before it is resized"
        )
    faults = [fault for i in range(len(before)) for fault in _faults(before[i], after[i], identity, _mask(where, i), i)]
    for i, (crop, result) in enumerate(zip(before, after, strict=True)):
        place = _place(identity, crop, i)
        known_to = [
            judge.name for judge in judges if judge.same_person(judge.embed(crop, place), judge.embed(result, place))
        ]
        faults += [f"face {i + 1} is still recognised by {', '.join(known_to)}: {CURE}"] * bool(known_to)
    if faults:
        raise StillRecognisedError("; ".join(faults) + ". Nothing is handed back ('allow_unchanged' lets it pass).")


def _mask(where: Tensor | None, i: int) -> Tensor | None:
    """One image's (1, h, w); where there are fewer masks than images they go round, as in ComfyUI."""
    if where is None:
        return None
    masks = where.reshape(-1, 1, *where.shape[-2:])
    return masks[i % len(masks)]


def _faults(before: Tensor, after: Tensor, identity: Identity, where: Tensor | None, i: int) -> Iterator[str]:
    """What speaks against one face (3, H, W), the i-th."""
    person = identity.rows(slice(i, i + 1))
    target, reader = person.embedding[0], person.readers[0] if person.readers else None
    source, after_embedding = (reader(crop) if reader else None for crop in (before, after))
    likeness = 1.0 if source is None else _alike(target, source)
    if reader and source is None:
        yield f"identity: no face is seen in encoded photo {i + 1}: give 'Who Is It' and 'VAE Encode' the same images"
    if not likeness >= ANOTHER:
        yield (
            f"identity: face {i + 1} is somebody else than it tells (similarity {likeness:.2f}): give the same images, "
            "in the same order, to 'Who Is It' and to 'VAE Encode', and a scale above 0"
        )
    people = [target] if source is None or likeness >= OWN else [target, source]
    similarities = [] if after_embedding is None else [_alike(after_embedding, other) for other in people]
    if similarities and not max(similarities) < SAME_PERSON:
        alike = f"(similarity {max(similarities):.2f})"
        yield f"face {i + 1} is still the person to the recogniser that steers {alike}: {CURE}"
    moved = _moved(before, after, where, _place(identity, before, i).box if reader else None)
    if not moved >= HARDLY:
        yield f"face {i + 1} hardly changed ({255 * moved:.1f} of 255 a pixel): {CURE}; a mask must leave it open"


def _place(identity: Identity, crop: Tensor, i: int) -> Face:
    """Where the face of the i-th crop is."""
    readers = identity.rows(slice(i, i + 1)).readers
    return readers[0].place(crop) if readers else face_in_aligned(crop)


def _alike(a: Tensor, b: Tensor) -> float:
    return float(cosine_similarity(a.float().cpu(), b.float().cpu(), dim=0))


def _moved(before: Tensor, after: Tensor, where: Tensor | None, box: tuple[float, float, float, float] | None) -> float:
    """Mean change in the face's box, where it may change; 0 where nothing may."""
    region = torch.zeros_like(before[:1])
    x0, y0, x1, y1 = (max(0, round(value)) for value in box or (0, 0, before.shape[-1], before.shape[-2]))
    region[:, y0:y1, x0:x1] = 1
    if where is not None:
        region *= interpolate(where[None].to(before), before.shape[-2:], mode="nearest")[0] > 0
    return float(change(after[None], before[None], region[None])[0]) if region.any() else 0.0
