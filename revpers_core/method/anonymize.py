"""The main path: pixels walk in at one end, an anonymous face walks out at the other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .guidance import network_guidance, recorded_guidance
from .identity import SAME_PERSON, cosine, null_identity
from .memory import in_chunks
from .pixels import as_images, grey_where
from .steering import blended_late, check_words, steering
from .trajectory import OnStep, SeededNoise, Trajectory, concatenate, invert, sample
from .types import Identity, NoFaceError, Plan, Ports


class Anonymized(NamedTuple):
    """Anonymized images, and what they were made from.

    image: (B, 3, H, W) in [0, 1]. reconstruction: what the VAE alone makes of the photo, equal to a null replay.
    source: who was there before. trajectory: restores the photo, do not store it.
    """

    image: Tensor
    reconstruction: Tensor
    source: Identity
    trajectory: Trajectory


def anonymize(
    image: Tensor,
    ports: Ports,
    plan: Plan,
    on_step: OnStep | None = None,
    instead: Identity | None = None,
    where: Tensor | None = None,
) -> Anonymized:
    """Aligned square crops (B, 3, S, S) in [0, 1], one face each, made into somebody else; grey ones stay grey.

    instead: who comes instead, one for all or one an image; nobody in particular unless given, as in the paper. where:
    as in ``sample_image``.

    Raises NoFaceError where no face is seen and ValueError where guidance does not lead away from the person, the
    output is not finite or the face is unchanged: an unchanged face never passes for an anonymous one.
    """
    if plan.guidance >= 0:
        raise ValueError(f"guidance must be below 0 to lead away from the person, got {plan.guidance:g}")
    image = as_images(image)
    identity = ports.embed(image)
    path = invert_image(image, ports, plan, on_step)
    result, same = sample_image(path, identity, ports, plan, on_step, instead, where), ports.decode(path.x0)
    result = grey_where(result, image)
    for i, image_out in enumerate(result.split(1)):
        if (source_similarity(identity.rows(slice(i, i + 1)), image_out, ports.embed) or 0) >= SAME_PERSON:
            raise ValueError(f"face {i + 1} of {len(result)} came out unchanged: use guidance well below 0")
    return Anonymized(result, same, identity, path)


def invert_image(
    image: Tensor,
    ports: Ports,
    plan: Plan,
    on_step: OnStep | None = None,
    indices: Sequence[int] | None = None,
    null: Identity | None = None,
) -> Trajectory:
    """The inversion of images (B, 3, H, W) under nobody's identity, kept on the CPU; of the plan, guidance and
    attribute play no part.

    indices: tell each image's noise, 0...B-1 unless given; images that share one share their noise. null: the null
    identity, at the faces' own points where it is known that they are not FFHQ's.
    """
    image = as_images(image)
    levels = plan.levels(ports.sigma)
    shape = (len(image), 4, image.shape[-2] // 8, image.shape[-1] // 8)
    noise = SeededNoise(plan.steps, shape, plan.seed, indices)

    def invert_chunk(rows: slice) -> Trajectory:
        latents = ports.encode(image[rows])
        branches = ports.branches((null or null_identity(1)).rows(rows), latents, wordless=plan.one_branch)
        at_once = ports.at_once(latents, plan.at_once)
        path = invert(
            branches, latents, levels, noise.rows(rows), at_once=at_once, need=plan.inversion_needs, on_step=on_step
        )
        return path.to("cpu")

    return concatenate(in_chunks(len(image), ports.faces_at_once(shape), invert_chunk), noise)


def sample_image(
    path: Trajectory,
    identity: Identity,
    ports: Ports,
    plan: Plan,
    on_step: OnStep | None = None,
    instead: Identity | None = None,
    where: Tensor | None = None,
) -> Tensor:
    """Images (B, 3, H, W) of another identity, attribute or guidance along a trajectory that is there already.

    instead: who stands in the unconditional branch, where the paper has nobody: results look like that one. The
    inversion stays under nobody, so that a trajectory serves for any. identity, instead: (1, 512) for all, or one an
    image. where: (1, 1, h, w) in [0, 1] at the latents' size, where NullFace may change them after its first steps;
    everywhere unless given.
    """
    check_words(plan.method, bool(plan.attribute.prompt), instead is not None)
    away = steering(plan.method, identity, plan.guidance)
    recorded = recorded_guidance(away.guidance, plan.interval)
    mask = None if where is None else blended_late(path.sigmas, lambda sigma: where)

    def sample_chunk(rows: slice) -> Tensor:
        chunk = path.rows(rows)
        branches = ports.branches(
            away.identity.rows(rows),
            chunk.x0,
            plan.attribute.prompt,
            wordless=plan.one_branch,
            instead=None if instead is None else instead.rows(rows),
        )
        predict = network_guidance(branches, away.guidance, plan.interval)
        latents = sample(predict, chunk, recorded, mask=mask, device=ports.device, on_step=on_step)
        return ports.decode(finite(latents))

    return finite(torch.cat(in_chunks(len(path.x0), path.chunk_size or len(path.x0), sample_chunk)))


def source_similarity(source: Identity, image: Tensor, embed: Callable[[Tensor], Identity]) -> float | None:
    """Similarity to the source as the recogniser that steered the run sees it, to 4 digits; None where it sees no face.

    image: of one face, as ``embed`` takes it.
    """
    try:
        return round(float(cosine(source, embed(image))), 4)
    except NoFaceError:
        return None


def finite(values: Tensor) -> Tensor:
    """Latents or pixels, or ValueError: a picture of NaN must not pass for an anonymized one."""
    if not torch.isfinite(values).all():
        raise ValueError("the result holds NaN or infinite values: use guidance nearer to 0, or a float32 network")
    return values
