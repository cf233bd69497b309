"""Inversion and sampling inside ComfyUI's own guider and sampler, for one model, adapter and pair of conditionings."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..method import trajectory as core
from ..method.identity import null_identity
from ..method.memory import Fits, Part, faces_at_once, in_chunks, is_out_of_memory, steps_at_once, warn_if_lossy
from ..method.steering import blended_late
from ..method.types import Identity
from .comfy_adapter import Adapter, IdentityKV, compute_dtype, is_plain
from .comfy_backbone import check_pooled
from .comfy_network import Network

SIZES_AND_POOLED = {
    "pooled_output", "width", "height", "crop_w", "crop_h", "target_width", "target_height"
}  # fmt: skip
"""What a conditioning may hold beside its words when steps share a call: no ControlNet, hook, area or time window."""
Conditioning = list[Any]
Callback = Callable[[int, Tensor, Tensor, int], None]


@dataclass(frozen=True)
class Run:
    """An adapted model with its two conditionings: positive (encoded "") and negative (attribute words or zeros)."""

    adapted: Any
    adapter: Adapter
    positive: Conditioning
    negative: Conditioning

    def __post_init__(self):
        expected = self.adapter.weights.context
        for embeds, _ in [*self.positive, *self.negative]:
            if embeds.shape[-1] != expected:
                raise ValueError(
                    f"the prompt was encoded by another text encoder (width {embeds.shape[-1]}, not {expected}): "
                    "connect the clip of the same checkpoint to 'New Face Looks Like'"
                )
        check_pooled(self.adapted, [*self.positive, *self.negative])

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
        results: list[core.Trajectory] = []

        def body(sampler: Any, extra_args: dict[str, Any], on_step: core.OnStep) -> Tensor:
            x0, null = sampler.latent_image, self._identity_kv(null_identity(1), sampler)
            network = Network.under(null, null, sampler.inner_model, extra_args)
            together = at_once or self._at_once(x0)
            warn_if_lossy(together, compute_dtype(self.adapted))
            path = core.invert(network.branches, x0, sigmas, noise, at_once=together, on_step=on_step)
            results.append(path.to("cpu"))
            return x0

        with timed("inversion", samples, len(sigmas) - 1):
            self._sample(body, samples, None, sigmas, 1.0, callback)
        return results[0]

    def _identity_kv(self, identity: Identity, sampler: Any) -> IdentityKV:
        return self.adapter.identity_kv(identity, sampler.latent_image.device, compute_dtype(self.adapted))

    def _is_plain(self) -> bool:
        """Whether nothing depends on the level or on an image's place in the batch."""
        words = {key for conditioning in (self.positive, self.negative) for _, rest in conditioning for key in rest}
        single = all(len(embeds) == 1 for conditioning in (self.positive, self.negative) for embeds, _ in conditioning)
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
        """How many faces share a call of the network."""
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
        keep_late: bool = False,
    ) -> Tensor:
        """Latents (B, 4, h, w) of the identity's replay, in ComfyUI's scale. latent: the one that was inverted.
        instead: who stands in the unconditional branch of this phase; nobody unless given.
        keep_late: the mask is blended in after the first steps only (NullFace)."""
        samples = latent["samples"]

        def body(sampler: Any, extra_args: dict[str, Any], on_step: core.OnStep) -> Tensor:
            guider, confine = sampler.inner_model, _mask(sampler, extra_args)
            confine = blended_late(path.sigmas, confine) if confine and keep_late else confine
            person_kv, null_kv = self._identity_kv(identity, sampler), self._identity_kv(null_identity(1), sampler)
            uncond_kv = self._identity_kv(instead, sampler) if instead else null_kv
            null = Network.under(null_kv, null_kv, guider, extra_args)
            network = Network.under(person_kv, uncond_kv, guider, extra_args)
            device = sampler.latent_image.device
            return core.sample(
                network.predict, path, null.guide, mask=confine, quirks=quirks, device=device, on_step=on_step
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
def timed(phase: str, samples: Tensor, steps: int) -> Iterator[None]:
    """Log how long latents (B, 4, h, w) took."""
    start = time.perf_counter()
    yield
    seconds, faces = time.perf_counter() - start, len(samples)
    logging.info(f"{phase} of {faces} face{'s' * (faces > 1)}, {steps} steps: {seconds / faces:.1f} s a face")


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
