"""The ComfyUI host: inversion and replay inside its own guider and sampler, the adapter on a cloned ModelPatcher.

Going through ``CFGGuider.sample`` keeps what other packs and stock nodes do to a model working: LoRAs, ControlNets,
attention patches, custom CFG functions, masks, memory management, previews, progress and interrupt.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import comfy.model_sampling
import torch
from einops import rearrange
from torch import Tensor

from ..adapters.attention import check_opposite
from ..faces.five_points import five_points
from ..faces.masks import latent_mask, without_parts
from ..media.photo import FaceSampler
from ..method import trajectory as core
from ..method.anonymize import finite
from ..method.identity import null_identity
from ..method.pixels import check_pixels
from ..method.schedule import sigmas
from ..method.settings import CUSTOM
from ..method.steering import check_words, steering
from ..method.students import NONE, caution, visited
from ..method.trajectory import SeededNoise
from ..method.types import Identity, Method
from .comfy_adapter import Adapter, adapt
from .comfy_backbone import check_backbone, has_words, unconditional
from .comfy_control import PointedControl
from .comfy_fingerprint import fingerprint, hooks_fingerprint
from .comfy_inversions import Inversions, digest
from .comfy_run import Callback, Conditioning, Run

OTHER_PREDICTIONS = {"X0", "IMG_TO_IMG", "IMG_TO_IMG_FLOW", "EDM"}
"""Relatives of EPS and V_PREDICTION in ComfyUI whose network predicts something else."""
PYTHONS = {"object", "Module", "ModelSamplingAdvanced", "ModelSampling"}
"""Classes that tell nobody how a model is sampled."""


class ComfyTrajectory(NamedTuple):
    """A photo's inversion with what the replay needs to be true to it. It restores the photo: treat it as the photo.

    path: on the CPU. latent: the LATENT that was inverted. positive: encoded "". weights: fingerprint of the model with
    its LoRAs and the adapter, under which the inversion was made. points: (B or 1, 5, 2) of the faces in shares of the
    crop's side, which InstantID's ControlNet sees; None for crops framed as FFHQ's. preset: by which steps and skip
    were chosen. student: whose levels they are.
    """

    path: core.Trajectory
    latent: dict[str, Any]
    positive: Conditioning
    weights: str
    points: Tensor | None = None
    preset: str = CUSTOM
    student: str = NONE


def levels(model: Any, steps: int, skip: float, student: str = NONE) -> tuple[float, ...]:
    """The run's sigmas by the model's own noise schedule. Raises ValueError for other models than SDXL and SD 1.5, and
    for those turned into flow models."""
    check_backbone(model)
    sampling = model.get_model_object("model_sampling")
    kinds = {kind.__name__ for kind in type(sampling).__mro__}
    levels, predictions = comfy.model_sampling.ModelSamplingDiscrete, {"EPS", "V_PREDICTION"} & kinds
    if "LCM" in kinds:
        raise ValueError(
            "model: its sampling is LCM, which the sampler's own steps are made for: take out the node that says so "
            "(ModelSamplingDiscrete), keep the LoRA, and set student to lcm, whose levels are visited then"
        )
    if not isinstance(sampling, levels) or not predictions or OTHER_PREDICTIONS & kinds:
        raise ValueError(
            f"model: its sampling is {', '.join(sorted(kinds - PYTHONS))}, but it must predict noise or v at the "
            "levels that SDXL was trained at: take out the node that changes the model's sampling"
        )
    return sigmas(visited(student, steps, skip), lambda t: float(sampling.sigma(torch.tensor([float(t)]))))


def warn_student(student: str, guidance: float) -> None:
    """Say where guidance is further than the student's makers go."""
    if (words := caution(student, guidance)) is not None:
        logging.warning(words)


def is_pocket(model: Any) -> bool:
    """Whether a ModelPatcher holds the pocket model, which only shows the machinery."""
    return bool(getattr(model.model.model_config, "is_pocket", False))


def invert_latent(
    model: Any,
    adapter: Adapter,
    positive: Conditioning,
    latent: dict[str, Any],
    sigmas: tuple[float, ...],
    seed: int,
    callback: Callback | None = None,
    at_once: int = 0,
    points: Tensor | None = None,
) -> ComfyTrajectory:
    """Invert a LATENT under the null identity. ``positive``: encoded ""; the other branch has no word.

    ``at_once``: steps a call of the network; 0 takes as many as fit where only rounding changes, else one.
    """
    samples = latent["samples"]
    if samples.ndim != 4 or samples.shape[1] != 4:
        raise ValueError(
            f"latent: expected a latent of SDXL or SD 1.5 (B, 4, h, w), got {tuple(samples.shape)}: "
            "encode the image with the VAE of the checkpoint"
        )
    if not samples.numel():
        raise ValueError("latent: it holds no image: connect the encoded photo")
    _check_mask(latent.get("noise_mask"))
    noise = SeededNoise(len(sigmas) - 1, samples.shape, seed, latent.get("batch_index"))
    conds = _pointed(adapter, samples, points, (positive, null_identity(1)), (unconditional(model, positive), None))
    run = Run(adapt(model, adapter), adapter, *conds)

    def run_rows(rows: slice) -> core.Trajectory:
        on_part = _of_part(callback, rows, len(samples))
        return run.invert(samples[rows], sigmas, noise.rows(rows), on_part, at_once)

    path = core.concatenate(run.in_chunks(len(samples), run.faces_at_once(samples), run_rows), noise)
    return ComfyTrajectory(path, latent, positive, fingerprint(model, adapter), points)


def _check_mask(mask: Tensor | None) -> None:
    """Raises ValueError where a LATENT's mask leaves nothing of an image to change."""
    if mask is None:
        return
    check_pixels(mask, "latent: its mask")
    empty = [i for i, image_mask in enumerate(mask.reshape(-1, *mask.shape[-2:]), 1) if not (image_mask > 0).any()]
    if empty:
        raise ValueError(
            f"latent: mask {empty[0]} leaves nothing to change (it is all black; Load Image gives such a one for a "
            "picture without alpha): paint the face, or take out 'Set Latent Noise Mask'"
        )


def check_sampling(trajectory: ComfyTrajectory, guidance: float) -> None:
    """Raises ValueError for what cannot change a face, before anything runs."""
    if not guidance < 0:
        raise ValueError(
            f"guidance: it is {guidance:g}, but only below 0 it leads away from the person: set "
            "guidance to -10 and strength above 0, or switch allow_unchanged on"
        )
    _check_mask(trajectory.latent.get("noise_mask"))


def _of_part(callback: Callback | None, rows: slice, count: int) -> Callback | None:
    """The callback of a run over some of the faces: its steps are a part of the whole's."""
    if callback is None:
        return None

    def on_step_of_rows(step: int, x0: Tensor, x: Tensor, steps: int) -> None:
        faces, total = rows.stop - rows.start, steps * count
        callback(steps * rows.start + (step + 1) * faces - 1, x0, x, total)

    return on_step_of_rows


def _pointed(
    adapter: Adapter, samples: Tensor, points: Tensor | None, *branches: tuple[Conditioning, Identity | None]
) -> list[Conditioning]:
    """The conditionings, each with its identity (nobody's where None) and its ControlNet."""
    if points is not None and len(points) not in (1, len(samples)):
        raise ValueError(f"places: expected one for each of {len(samples)} crops, got {len(points)}: connect theirs")
    control = PointedControl.of(adapter, five_points(points, 8 * samples.shape[-1]))
    return [control.on(words, identity or null_identity(1)) if control else words for words, identity in branches]


def _rows(latent: dict[str, Any], rows: slice) -> dict[str, Any]:
    """Some of a LATENT's images; where there are fewer masks than images they go round, as in ComfyUI."""
    chosen = {"samples": latent["samples"][rows]}
    if (mask := latent.get("noise_mask")) is None:
        return chosen
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return {**chosen, "noise_mask": mask[[i % len(mask) for i in range(rows.start, rows.stop)]]}


def _check_pair(
    model: Any,
    adapter: Adapter,
    identity: Identity,
    trajectory: ComfyTrajectory,
    attribute: Conditioning,
    instead: Identity | None,
) -> None:
    """Raises ValueError where what is given to sampling does not belong to the inversion."""
    batch, faces = len(trajectory.path.x0), len(identity.embedding)
    if faces not in (1, batch):
        raise ValueError(
            f"identity: expected one face for each of the trajectory's {batch} images, got {faces}: "
            "give the same images to 'Who Is It' and to 'VAE Encode'"
        )
    if instead is not None and len(instead.embedding) not in (1, batch):
        raise ValueError(
            f"instead: expected one stand-in or one for each of {batch} faces, got {len(instead.embedding)}: "
            "connect the photos of as many, or of one"
        )
    if fingerprint(model, adapter) != trajectory.weights:
        raise ValueError(
            "trajectory: it was made with another model, LoRA or adapter: "
            "connect the same model and adapter to the inversion and to the sampler"
        )
    if hooks_fingerprint(attribute) != hooks_fingerprint(trajectory.positive):
        raise ValueError(
            "attribute: its LoRA hooks are not those of the inversion's conditioning: set the same hooks on both, or "
            "on the clip of 'New Face Looks Like'"
        )


def sample_latent(
    model: Any,
    adapter: Adapter,
    identity: Identity,
    trajectory: ComfyTrajectory,
    attribute: Conditioning,
    guidance: float,
    callback: Callback | None = None,
    instead: Identity | None = None,
    method: Method = Method.REVERSE,
) -> dict[str, Any]:
    """The LATENT of somebody else. A noise_mask of the inverted LATENT confines the change.

    instead: who stands in the unconditional branch, one for all or one an image; nobody unless given. method: how it
    leads away; NullFace keeps what a noise_mask says, or else eyes, mouth and surround of an aligned face.

    Raises ValueError when model or adapter are not those of the inversion, identities and latents differ in number, or
    the result is not finite.
    """
    _check_pair(model, adapter, identity, trajectory, attribute, instead)
    batch = len(trajectory.path.x0)
    if guidance >= 0:
        logging.warning(f"guidance {guidance:g} does not lead away from the person: the result is not anonymous")
    away, masked = steering(method, identity, guidance), trajectory.latent
    if method is Method.NULLFACE:
        check_opposite(adapter.weights.kind)
        check_words(method, has_words(attribute, unconditional(model, trajectory.positive)), instead is not None)
        shape = trajectory.path.x0.shape
        masked = {"noise_mask": latent_mask(without_parts(8 * shape[-1]), shape), **masked}
    branches = (trajectory.positive, away.identity), (attribute, instead)
    conds = _pointed(adapter, trajectory.path.x0, trajectory.points, *branches)
    run = Run(adapt(model, adapter), adapter, *conds)

    def run_rows(rows: slice) -> Tensor:
        rest = {"callback": _of_part(callback, rows, batch), "instead": instead.rows(rows) if instead else None}
        rest["keep_late"] = method is Method.NULLFACE
        return run.sample(
            trajectory.path.rows(rows), _rows(masked, rows), away.identity.rows(rows), away.guidance, **rest
        )

    samples = torch.cat(run.in_chunks(batch, trajectory.path.chunk_size or batch, run_rows))
    return {**trajectory.latent, "samples": finite(samples)}


def face_inverter(
    model: Any,
    vae: Any,
    adapter: Adapter,
    conds: tuple[Conditioning, Conditioning],
    sigmas: tuple[float, ...],
    seed: int,
    callback: Callback | None = None,
    method: Method = Method.REVERSE,
    inversions: Inversions | None = None,
) -> Callable[[Tensor, Identity, int], FaceSampler]:
    """``PhotoPorts.invert_face`` of this host: pixels in, pixels out. conds: positive and attribute. inversions: those
    that are there already, which do not run again; every one runs unless given."""
    positive, attribute = conds

    def invert_face(crop: Tensor, identity: Identity, index: int) -> FaceSampler:
        latent = {"samples": vae.encode(rearrange(crop, "b c h w -> b h w c")), "batch_index": [index] * len(crop)}

        def invert() -> ComfyTrajectory:
            return invert_latent(model, adapter, positive, latent, sigmas, seed, callback, points=identity.points)

        if inversions is None:
            trajectory = invert()
        else:
            key = digest(latent, identity.points, positive, sigmas, seed, fingerprint(model, adapter))
            trajectory = inversions.get(model, key, invert)

        def sample(guidance: float, instead: Identity | None = None) -> Tensor:
            result = sample_latent(model, adapter, identity, trajectory, attribute, guidance, callback, instead, method)
            return finite(rearrange(vae.decode(result["samples"]), "b h w c -> b c h w"))

        return sample

    return invert_face
