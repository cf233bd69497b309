"""The ComfyUI host: inversion and replay inside its own guider and sampler, the adapter on a cloned ModelPatcher.

Going through ``CFGGuider.sample`` keeps what other packs and stock nodes do to a model working: LoRAs, ControlNets,
attention patches, custom CFG functions, masks, memory management, previews, progress and interrupt.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import comfy.model_management
import comfy.model_sampling
import comfy.samplers
import comfy.utils
import torch
from einops import rearrange
from torch import Tensor

from ..media.photo import FaceSampler
from ..method import trajectory as core
from ..method.anonymize import finite
from ..method.identity import null_identity
from ..method.memory import Fits, Part, faces_at_once, in_chunks, is_out_of_memory, steps_at_once, warn_if_lossy
from ..method.schedule import sigmas, timesteps
from ..method.trajectory import Need, SeededNoise
from ..method.types import Identity
from .comfy_adapter import IDENTITY_KV, Adapter, IdentityKV, adapt, check_sdxl, compute_dtype, guides_plainly, is_plain

SIZES_AND_POOLED = {
    "pooled_output", "width", "height", "crop_w", "crop_h", "target_width", "target_height"
}  # fmt: skip
"""What a conditioning may hold beside its words when steps share a call: no ControlNet, hook, area or time window."""
COND, UNCOND = 0, 1
"""ComfyUI's numbers for the branches in ``cond_or_uncond``."""

Conditioning = list[Any]
Callback = Callable[[int, Tensor, Tensor, int], None]


class ComfyTrajectory(NamedTuple):
    """A photo's inversion with what the replay needs to be true to it. It restores the photo: treat it as the photo.

    path: on the CPU. latent: the LATENT that was inverted. positive: encoded "". weights: of the model with its
    patches and the adapter, under which the inversion was made.
    """

    path: core.Trajectory
    latent: dict[str, Any]
    positive: Conditioning
    weights: uuid.UUID


@dataclass(frozen=True)
class Network:
    """The guider in mid-run, under one identity: the core's view of the model.

    plain: whether guidance is the formula and nothing else, so that a branch without weight need not run.
    """

    guider: Any
    model_options: dict[str, Any]
    seed: int | None
    plain: bool

    @classmethod
    def under(cls, cond: IdentityKV, uncond: IdentityKV, guider: Any, extra_args: dict[str, Any]) -> "Network":
        options = extra_args["model_options"]
        transformer_options = {**options.get("transformer_options", {}), IDENTITY_KV: (cond, uncond)}
        carrying = {**options, "transformer_options": transformer_options}
        return cls(guider, carrying, extra_args.get("seed"), guides_plainly(guider.model_patcher))

    @property
    def _conds(self) -> list[Any]:
        return [self.guider.conds["positive"], self.guider.conds["negative"]]

    def branches(self, x: Tensor, sigma: float | Tensor, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
        """Both predictions before any guidance; every other pack's patch on the model is in force."""
        x, level = _fed(x, sigma)
        conds = self._conds
        for branch, alone in ((COND, Need.UNCOND), (UNCOND, Need.COND)):
            if need is alone:
                conds[branch] = None
        out = comfy.samplers.calc_cond_batch(self.guider.inner_model, conds, x, level, self.model_options)
        return out[COND if need is Need.COND else UNCOND], out[UNCOND if need is Need.UNCOND else COND]

    def predict(self, x: Tensor, sigma: float) -> Tensor:
        """The guided prediction as ComfyUI makes it, which itself leaves out the unconditional branch at guidance 1."""
        if self.plain and self.guider.cfg == 0:
            return self.branches(x, sigma, Need.UNCOND)[0]
        x, level = _fed(x, sigma)
        return self.guider(x, level, model_options=self.model_options, seed=self.seed)

    def guide(self, uncond: Tensor, cond: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Guidance on kept predictions, through the same custom CFG functions that ``predict`` meets."""
        if self.plain and self.guider.cfg == 1:
            return cond
        x, level = _fed(x, sigma)
        conds, model, options = self._conds, self.guider.inner_model, self.model_options
        out = [cond, uncond]
        for function in options.get("sampler_pre_cfg_function", []):
            out = function(
                {
                    "conds": conds,
                    "conds_out": out,
                    "cond_scale": self.guider.cfg,
                    "timestep": level,
                    "input": x,
                    "sigma": level,
                    "model": model,
                    "model_options": options,
                }
            )
        return comfy.samplers.cfg_function(
            model, out[COND], out[UNCOND], self.guider.cfg, x, level, options, cond=conds[COND], uncond=conds[UNCOND]
        )


def _fed(x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    x = x.float()
    return x, sigma.to(x) if isinstance(sigma, Tensor) else x.new_full((len(x),), sigma)


def levels(model: Any, steps: int, skip: float) -> tuple[float, ...]:
    """The run's sigmas by the model's own noise schedule. Raises ValueError for other models than SDXL, and for those
    turned into flow models."""
    check_sdxl(model)
    sampling = model.get_model_object("model_sampling")
    if not isinstance(sampling, (comfy.model_sampling.EPS, comfy.model_sampling.V_PREDICTION)):
        raise ValueError(
            f"model: its sampling is {type(sampling).__name__}, but it must predict noise or v: "
            "take out the node that changes the model's sampling"
        )
    return sigmas(timesteps(steps, skip), lambda t: float(sampling.sigma(torch.tensor([float(t)]))))


def zero_out(conditioning: Conditioning) -> Conditioning:
    """The same conditioning without a word: zero tensors, as SDXL takes an empty unconditional prompt."""
    return [
        [torch.zeros_like(embeds), {**rest, "pooled_output": torch.zeros_like(rest["pooled_output"])}]
        for embeds, rest in conditioning
    ]


def invert_latent(
    model: Any,
    adapter: Adapter,
    positive: Conditioning,
    latent: dict[str, Any],
    sigmas: tuple[float, ...],
    seed: int,
    callback: Callback | None = None,
    at_once: int = 0,
) -> ComfyTrajectory:
    """Invert a LATENT under the null identity. ``positive``: encoded ""; its zeroed self is the other branch.

    ``at_once``: steps a call of the network; 0 takes as many as fit where only rounding changes, else one.
    """
    samples = latent["samples"]
    if samples.ndim != 4 or samples.shape[1] != 4:
        raise ValueError(
            f"latent: expected an SDXL latent (B, 4, h, w), got {tuple(samples.shape)}: "
            "encode the image with the VAE of the SDXL checkpoint"
        )
    noise = SeededNoise(len(sigmas) - 1, samples.shape, seed, latent.get("batch_index"))
    run = Run(adapt(model, adapter), adapter, positive, zero_out(positive))

    def part(few: slice) -> core.Trajectory:
        told = _of_part(callback, few, len(samples))
        return run.invert(samples[few], sigmas, noise.rows(few), told, at_once)

    path = core.concatenate(run.in_chunks(len(samples), run.faces_at_once(samples), part), noise)
    return ComfyTrajectory(path, latent, positive, run.adapted.patches_uuid)


def _of_part(callback: Callback | None, part: slice, count: int) -> Callback | None:
    """The callback of a run over some of the faces: its steps are a part of the whole's."""
    if callback is None:
        return None

    def told(step: int, x0: Tensor, x: Tensor, steps: int) -> None:
        faces, whole = part.stop - part.start, steps * count
        callback(steps * part.start + (step + 1) * faces - 1, x0, x, whole)

    return told


def _rows(latent: dict[str, Any], part: slice) -> dict[str, Any]:
    """Some of a LATENT's images; where there are fewer masks than images they go round, as in ComfyUI."""
    few = {"samples": latent["samples"][part]}
    if (mask := latent.get("noise_mask")) is None:
        return few
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    return {**few, "noise_mask": mask[[i % len(mask) for i in range(part.start, part.stop)]]}


def sample_latent(
    model: Any,
    adapter: Adapter,
    identity: Identity,
    trajectory: ComfyTrajectory,
    attribute: Conditioning,
    guidance: float,
    callback: Callback | None = None,
    instead: Identity | None = None,
) -> dict[str, Any]:
    """The LATENT of somebody else. A noise_mask of the inverted LATENT confines the change.

    instead: who stands in the unconditional branch, one for all or one an image; nobody unless given.

    Raises ValueError when model or adapter are not those of the inversion, identities and latents differ in number, or
    the result is not finite.
    """
    batch, faces = len(trajectory.path.x0), len(identity.embedding)
    if faces not in (1, batch):
        raise ValueError(
            f"identity: expected one face for each of the trajectory's {batch} images, got {faces}: "
            "give the same images to 'Who Is It' and to 'VAE Encode'"
        )
    if instead is not None and len(instead.embedding) not in (1, batch):
        raise ValueError(
            f"instead: expected one stand-in or one for each of {batch} faces, got {len(instead.embedding)}"
        )
    if guidance >= 0:
        logging.warning(f"guidance {guidance:g} does not lead away from the person: the result is not anonymous")
    run = Run(adapt(model, adapter), adapter, trajectory.positive, attribute)
    if run.adapted.patches_uuid != trajectory.weights:
        raise ValueError(
            "trajectory: it was made with another model, LoRA or adapter: "
            "connect the same model and adapter to the inversion and to the sampler"
        )

    def part(few: slice) -> Tensor:
        rest = {"callback": _of_part(callback, few, batch), "instead": instead.rows(few) if instead else None}
        latent = _rows(trajectory.latent, few)
        return run.sample(trajectory.path.rows(few), latent, identity.rows(few), guidance, **rest)

    samples = torch.cat(run.in_chunks(batch, trajectory.path.chunk_size or batch, part))
    return {**trajectory.latent, "samples": finite(samples)}


def face_inverter(
    model: Any,
    vae: Any,
    adapter: Adapter,
    conds: tuple[Conditioning, Conditioning],
    sigmas: tuple[float, ...],
    seed: int,
    callback: Callback | None = None,
) -> Callable[[Tensor, Identity, int], FaceSampler]:
    """``PhotoPorts.invert_face`` of this host: pixels in, pixels out. conds: positive and attribute."""
    positive, attribute = conds

    def invert_face(crop: Tensor, who: Identity, index: int) -> FaceSampler:
        latent = {"samples": vae.encode(rearrange(crop, "b c h w -> b h w c")), "batch_index": [index] * len(crop)}
        trajectory = invert_latent(model, adapter, positive, latent, sigmas, seed, callback)

        def again(guidance: float, instead: Identity | None = None) -> Tensor:
            made = sample_latent(model, adapter, who, trajectory, attribute, guidance, callback, instead)
            return finite(rearrange(vae.decode(made["samples"]), "b h w c -> b c h w"))

        return again

    return invert_face


@dataclass(frozen=True)
class Run:
    """An adapted model with its two conditionings: positive (encoded "") and negative (attribute words or zeros)."""

    adapted: Any
    adapter: Adapter
    positive: Conditioning
    negative: Conditioning

    def __post_init__(self):
        wanted = self.adapter.weights.context
        for embeds, _ in [*self.positive, *self.negative]:
            if embeds.shape[-1] != wanted:
                raise ValueError(
                    f"the prompt was encoded by another text encoder (width {embeds.shape[-1]}, not {wanted}): connect "
                    "the clip of the same SDXL checkpoint to 'New Face Looks Like'"
                )

    def invert(
        self,
        samples: Tensor,
        sigmas: tuple[float, ...],
        noise: Sequence[Tensor],
        callback: Callback | None = None,
        at_once: int = 1,
    ) -> core.Trajectory:
        """Invert latents (B, 4, h, w) under the null identity; the trajectory is kept on the CPU. ``at_once``: as in
        ``invert``."""
        made: list[core.Trajectory] = []

        def body(sampler: Any, extra_args: dict[str, Any], on_step: core.OnStep) -> Tensor:
            x0, null = sampler.latent_image, self._known(null_identity(1), sampler)
            network = Network.under(null, null, sampler.inner_model, extra_args)
            together = at_once or self._at_once(x0)
            warn_if_lossy(together, compute_dtype(self.adapted))
            path = core.invert(network.branches, x0, sigmas, noise, at_once=together, on_step=on_step)
            made.append(path.to("cpu"))
            return x0

        with timed("inversion", samples, len(sigmas) - 1):
            self._sample(body, samples, None, sigmas, 1.0, callback)
        return made[0]

    def _known(self, identity: Identity, sampler: Any) -> IdentityKV:
        return self.adapter.identity_kv(identity, sampler.latent_image.device, compute_dtype(self.adapted))

    def _is_plain(self) -> bool:
        """Whether nothing depends on the level or on an image's place in the batch."""
        words = {key for part in (self.positive, self.negative) for _, rest in part for key in rest}
        single = all(len(embeds) == 1 for part in (self.positive, self.negative) for embeds, _ in part)
        return words <= SIZES_AND_POOLED and single and is_plain(self.adapted)

    def _at_once(self, x0: Tensor) -> int:
        """Steps a call: one where something may depend on the level, or where the network rounds coarsely."""
        if not self._is_plain() or compute_dtype(self.adapted) != torch.float32:
            return 1
        return steps_at_once(x0.shape, self._device.type, self._fits(x0, 0))

    def in_chunks(self, faces: int, size: int, make: Callable[[slice], Part]) -> list[Part]:
        """In slices of ``size``, fewer once memory runs out; all at once where something may belong to the batch."""
        return in_chunks(faces, size, make) if self._is_plain() else [make(slice(0, faces))]

    def faces_at_once(self, samples: Tensor) -> int:
        """Faces a call."""
        missing = self.adapted.model_size() - self.adapted.loaded_size()
        return faces_at_once(samples.shape, self._device.type, self._fits(samples, max(0, missing)))

    @property
    def _device(self) -> torch.device:
        return comfy.model_management.get_torch_device()

    def _fits(self, samples: Tensor, reserved: int) -> Fits:
        """ComfyUI's own rule of what a batch takes. reserved: bytes of weights that are still to be loaded."""
        free = comfy.model_management.get_free_memory(self._device) - reserved
        required = self.adapted.model.memory_required
        return lambda rows: 1.5 * required([rows, *samples.shape[1:]]) < free

    def sample(
        self,
        path: core.Trajectory,
        latent: dict[str, Any],
        identity: Identity,
        guidance: float,
        quirks: core.Quirks = core.EXACT,
        callback: Callback | None = None,
        instead: Identity | None = None,
    ) -> Tensor:
        """Latents (B, 4, h, w) of the identity's replay, in ComfyUI's scale. latent: the one that was inverted.
        instead: who stands in the unconditional branch of this phase; nobody unless given."""
        samples = latent["samples"]

        def body(sampler: Any, extra_args: dict[str, Any], on_step: core.OnStep) -> Tensor:
            guider, confine = sampler.inner_model, _mask(sampler, extra_args)
            known, unknown = self._known(identity, sampler), self._known(null_identity(1), sampler)
            new = self._known(instead, sampler) if instead else unknown
            null = Network.under(unknown, unknown, guider, extra_args)
            theirs = Network.under(known, new, guider, extra_args)
            device = sampler.latent_image.device
            return core.sample(
                theirs.predict, path, null.guide, mask=confine, quirks=quirks, device=device, on_step=on_step
            )

        with timed("sampling", samples, path.steps):
            return self._sample(body, samples, latent.get("noise_mask"), path.sigmas, guidance, callback)

    def _sample(
        self,
        body: Callable[[Any, dict[str, Any], core.OnStep], Tensor],
        samples: Tensor,
        mask: Tensor | None,
        sigmas: tuple[float, ...],
        guidance: float,
        callback: Callback | None,
    ) -> Tensor:
        """Run ``body`` where ComfyUI runs samplers: conditionings prepared, weights loaded, cleaned up after."""

        def sampler_function(
            sampler: Any, x: Tensor, levels: Tensor, extra_args: Any = None, callback: Any = None, **_: Any
        ):
            def on_step(k: int, x0: Tensor, x: Tensor) -> None:
                if callback is not None:
                    callback(
                        {"i": k, "denoised": x0.float(), "x": x.float(), "sigma": sigmas[k], "sigma_hat": sigmas[k]}
                    )

            return body(sampler, extra_args, on_step).float()

        guider = comfy.samplers.CFGGuider(self.adapted)
        guider.set_conds(self.positive, self.negative)
        guider.set_cfg(guidance)
        try:
            return guider.sample(
                torch.zeros_like(samples),
                samples,
                comfy.samplers.KSAMPLER(sampler_function),
                torch.tensor(sigmas),
                denoise_mask=mask,
                callback=callback,
                disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(samples) from error


@contextmanager
def timed(what: str, samples: Tensor, steps: int) -> Iterator[None]:
    """Tell the log how long latents (B, 4, h, w) took."""
    start = time.perf_counter()
    yield
    seconds, faces = time.perf_counter() - start, len(samples)
    logging.info(f"{what} of {faces} face{'s' * (faces > 1)}, {steps} steps: {seconds / faces:.1f} s a face")


def out_of_memory(samples: Tensor) -> Exception:
    """The same kind of error in words, for latents (B, 4, h, w); ComfyUI frees its models when it sees the kind."""
    faces, height, width = len(samples), samples.shape[-2] * 8, samples.shape[-1] * 8
    fewer = "give fewer faces at a time, " if faces > 1 else ""
    return comfy.model_management.OOM_EXCEPTION(
        f"out of memory with {faces} face{'s' * (faces > 1)} of {width} x {height} pixels: {fewer}"
        "cut smaller squares, unload other models, or start ComfyUI with --lowvram"
    )


def _mask(sampler: Any, extra_args: dict[str, Any]) -> Callable[[float], Tensor] | None:
    """Where the picture may change at a level: the LATENT's mask, through a denoise mask function where one is set."""
    mask = extra_args.get("denoise_mask")
    if mask is None:
        return None
    function = extra_args["model_options"].get("denoise_mask_function")
    if function is None:
        return lambda sigma: mask
    options = {"model": sampler.inner_model, "sigmas": sampler.sigmas}
    return lambda sigma: function(mask.new_full((len(mask),), sigma), mask, extra_options=options)
