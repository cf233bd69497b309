"""The diffusers host: SDXL's parts behind the core's ports, in one pipeline object."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from .. import pocket
from ..adapters import weights as faceid
from ..adapters.attention import check_opposite
from ..adapters.clip import FaceVision
from ..adapters.kinds import AUTO
from ..adapters.lora import Lora
from ..adapters.weights import AdapterWeights
from ..faces import recognise
from ..faces.five_points import five_points
from ..faces.masks import latent_mask, without_parts
from ..faces.recognise import FaceModel
from ..media.photo import FaceSampler
from ..method import anonymize as main
from ..method.identity import null_identity
from ..method.memory import BYTES, Fits, faces_at_once, steps_at_once, warn_if_lossy
from ..method.pixels import as_images
from ..method.schedule import sdxl_sigmas
from ..method.trajectory import Branches, Need, OnStep, Trajectory
from ..method.types import Identity, Method, Plan
from .diffusers_control import Control, load_controlnet
from .diffusers_files import check_pipeline, pocket_sdxl, single_file
from .diffusers_lora import add_lora
from .diffusers_unet import BRANCHES, Adapted, Conditions, unet_branches
from .diffusers_vision import load_vision

PIXELS = 1 << 20


class ReversePersonalizationPipeline:
    """SDXL or SD 1.5, an identity adapter and a recogniser, in one object with one verb: ``anonymize``.

    Files are local; nothing is downloaded. Sizes are multiples of 8. size: the side in pixels at which faces of photos
    are made, at first the model's own (SDXL 1024, SD 1.5 512).
    """

    def __init__(
        self,
        sdxl: StableDiffusionXLPipeline | StableDiffusionPipeline,
        adapter: AdapterWeights,
        face_model: FaceModel,
        strength: float = 1.0,
        vision: FaceVision | None = None,
        controlnet: str | Path | None = None,
    ):
        """vision: CLIP ViT-H, for adapters that look through it. controlnet: InstantID's, a folder or file."""
        if controlnet is not None and not adapter.kind.control:
            raise ValueError(
                f"the ControlNet belongs to InstantID, but this adapter is {adapter.kind.name}: leave it out"
            )
        self.sdxl, self.face_model = sdxl, face_model
        self.controlnet = load_controlnet(controlnet, sdxl.unet) if controlnet else None
        self.adapted = Adapted.inject(sdxl.unet, adapter, strength, vision=vision)
        sdxl.vae.to(torch.float32)  # SDXL's VAE overflows in float16
        scheduler = sdxl.scheduler.config
        self.is_sdxl = isinstance(sdxl, StableDiffusionXLPipeline)
        self.levels = sdxl_sigmas(
            scheduler.beta_start,
            scheduler.beta_end,
            scheduler.num_train_timesteps,
            scheduler.get("rescale_betas_zero_snr", False),
        )
        self.v_prediction = scheduler.prediction_type == "v_prediction"
        self.size: int = sdxl.unet.config.sample_size * 8
        self.unet_evaluations = 0

    @classmethod
    def from_single_file(
        cls,
        checkpoint: str | Path,
        adapter: str | Path,
        face_model: str | Path,
        *,
        config: str | Path | None = None,
        prediction: str = AUTO,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        strength: float = 1.0,
        **adapter_files: Any,
    ) -> "ReversePersonalizationPipeline":
        """From a checkpoint of SDXL (``sd_xl_base_1.0.safetensors``) or SD 1.5, an adapter and a recogniser (ONNX).

        prediction: "epsilon" or "v_prediction" where the file does not say it (a ``v_pred`` key does).
        ``adapter_files``: ``kind`` of the adapter, one of ``adapters.kinds.KINDS``, where its name does not say it;
        ``clip_vision``, the file or folder of CLIP ViT-H, for adapters that look through it; ``controlnet``, its own.
        """
        weights, parts = read_adapter(adapter, dtype, device, **adapter_files)
        sdxl = single_file(checkpoint, config, dtype, prediction)
        return cls(sdxl.to(device), weights, recognise.load(face_model), strength, **parts)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        adapter: str | Path,
        face_model: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        strength: float = 1.0,
        **adapter_files: Any,
    ) -> "ReversePersonalizationPipeline":
        """The same from a local diffusers folder."""
        weights, parts = read_adapter(adapter, dtype, device, **adapter_files)
        sdxl: Any = DiffusionPipeline.from_pretrained(str(folder), local_files_only=True, torch_dtype=dtype)
        check_pipeline(sdxl)
        return cls(sdxl.to(device), weights, recognise.load(face_model), strength, **parts)

    @classmethod
    def from_pocket(
        cls, *, dtype: torch.dtype = torch.float32, device: str = "cpu", strength: float = 1.0
    ) -> "ReversePersonalizationPipeline":
        """The embedded default: a miniature for 128-pixel faces that shows the machinery, not anonymity."""
        face_model = recognise.load(pocket.FACE_MODEL, min_norm=pocket.MIN_NORM)
        return cls(pocket_sdxl(dtype).to(device), faceid.load(pocket.ADAPTER), face_model, strength)

    def add_loras(self, *loras: Lora) -> None:
        """Add LoRA files of the UNet to its weights. Raises ValueError for other files."""
        for lora in loras:
            add_lora(self.sdxl.unet, lora)

    def anonymize(
        self,
        image: Tensor,
        plan: Plan | None = None,
        on_step: OnStep | None = None,
        instead: Identity | None = None,
    ) -> main.Anonymized:
        """Aligned square crops (B, 3, S, S) in [0, 1], one face each, made into somebody else; instead: into whom."""
        plan, image = plan or Plan(), as_images(image)
        return main.anonymize(image, self, plan, on_step, instead, self._where(plan, image.shape[-2:]))

    def sample(
        self,
        path: Trajectory,
        identity: Identity,
        plan: Plan,
        on_step: OnStep | None = None,
        instead: Identity | None = None,
    ) -> Tensor:
        """Another guidance, identity, attribute or stand-in along the same trajectory: half the work."""
        where = self._where(plan, [8 * side for side in path.x0.shape[-2:]])
        return main.sample_image(path, identity, self, plan, on_step, instead, where)

    def face_inverter(
        self, plan: Plan, on_step: OnStep | None = None
    ) -> Callable[[Tensor, Identity, int], FaceSampler]:
        """``invert_face`` of ``revpers_core.media.photo.PhotoPorts``: one inversion a face, any guidance along it."""

        def invert_face(crop: Tensor, identity: Identity, index: int) -> FaceSampler:
            path = main.invert_image(crop, self, plan, on_step, [index] * len(crop), identity.null)

            def sample(guidance: float, instead: Identity | None = None) -> Tensor:
                return self.sample(path, identity, replace(plan, guidance=guidance), on_step, instead)

            return sample

        return invert_face

    def embed(self, image: Tensor) -> Identity:
        return self.face_model.embed(image)

    @property
    def device(self) -> torch.device:
        """Where the networks compute, also while their weights wait elsewhere (diffusers' CPU offload)."""
        return self.sdxl._execution_device

    @torch.inference_mode()
    def encode(self, image: Tensor) -> Tensor:
        image = as_images(image)
        if image.shape[-1] % 8 or image.shape[-2] % 8:
            raise ValueError(
                f"image sides must be multiples of 8, got {image.shape[-1]} x {image.shape[-2]}: crop or resize it"
            )
        vae = self.sdxl.vae
        fed = (image * 2 - 1).to(self.device, vae.dtype)
        return torch.cat([vae.encode(chunk).latent_dist.mode() for chunk in _chunks(fed)]) * vae.config.scaling_factor

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        vae = self.sdxl.vae
        fed = (latents / vae.config.scaling_factor).to(self.device, vae.dtype)
        return torch.cat([(vae.decode(chunk).sample / 2 + 0.5).clamp(0, 1).cpu() for chunk in _chunks(fed, 8)])

    def sigma(self, timestep: int) -> float:
        return self.levels[timestep]

    def at_once(self, latents: Tensor, requested: int = 0) -> int:
        unet = self.sdxl.unet
        warn_if_lossy(requested, unet.dtype)
        if requested:
            return requested
        if unet.dtype.itemsize < torch.float32.itemsize:
            return 1
        return steps_at_once(latents.shape, self.device.type, self._fits(latents.shape))

    def faces_at_once(self, shape: Sequence[int]) -> int:
        return faces_at_once(shape, self.device.type, self._fits(shape))

    def _fits(self, shape: Sequence[int]) -> Fits:
        row = shape[-2] * shape[-1] * self.sdxl.unet.dtype.itemsize * BYTES
        return lambda rows: self.device.type != "cuda" or rows * row < torch.cuda.mem_get_info(self.device)[0]

    def branches(
        self, identity: Identity, latents: Tensor, prompt: str = "", *, wordless: bool = False,
        instead: Identity | None = None,
    ) -> Branches:  # fmt: skip
        conditions = self.conditions(identity, latents, prompt, wordless, instead)
        control = None
        if self.controlnet is not None:
            control = Control(self.controlnet, five_points(identity.points, 8 * latents.shape[-1]))
        network = unet_branches(self.sdxl.unet, conditions, self.levels, self.v_prediction, self.device, control)

        def counted(x: Tensor, sigma: float | Tensor, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
            self.unet_evaluations += x.shape[0] * len(BRANCHES[need])
            return network(x, sigma, need)

        return counted

    @torch.inference_mode()
    def conditions(
        self, identity: Identity, latents: Tensor, prompt: str, wordless: bool = False, instead: Identity | None = None
    ) -> Conditions:
        empty = self._encode_text("")
        nothing = [tensor * 0 for tensor in empty] if self.is_sdxl else empty
        uncond_text, cond_text = self._encode_text(prompt) if prompt else nothing, nothing if wordless else empty
        embeds, *pooled = (torch.cat(parts) for parts in zip(uncond_text, cond_text, strict=True))
        height, width = (side * 8 for side in latents.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]] * 2, dtype=torch.float32)
        null = null_identity(1)
        cond = identity if identity.is_somebody.any() else null
        tokens = self.adapted.tokens(instead or null), self.adapted.tokens(cond)
        return Conditions(embeds, pooled[0] if pooled else None, sizes if self.is_sdxl else None, tokens)

    def _encode_text(self, prompt: str) -> list[Tensor]:
        """[embeds (1, 77, C)], and with SDXL pooled (1, P)."""
        encoded = self.sdxl.encode_prompt(
            prompt, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return [encoded[0], encoded[2]] if self.is_sdxl else [encoded[0]]

    def _where(self, plan: Plan, sides: Sequence[int]) -> Tensor | None:
        """Where the method may change latents of images with these sides."""
        if plan.method is not Method.NULLFACE:
            return None
        check_opposite(self.adapted.modules.kind)
        return latent_mask(without_parts(sides[-1]), [side // 8 for side in sides])


def read_adapter(
    path: str | Path,
    dtype: torch.dtype,
    device: str,
    *,
    kind: str = AUTO,
    clip_vision: str | Path | None = None,
    controlnet: str | Path | None = None,
) -> tuple[AdapterWeights, dict[str, Any]]:
    """An adapter, and what it needs beside it, as the pipeline takes it. Raises ValueError for what is missing."""
    weights, parts = faceid.load(path, kind), {"controlnet": controlnet}
    if weights.kind.clip:
        if clip_vision is None:
            raise ValueError(
                f"{Path(path).name} ({weights.kind.name}) looks at faces through CLIP ViT-H: give clip_vision"
            )
        parts["vision"] = load_vision(clip_vision, dtype, device)
    return weights, parts


def _chunks(images: Tensor, scale: int = 1) -> Iterator[Tensor]:
    """The images (B, C, H, W) in parts of about a million pixels, what the VAE takes at once; latents have scale 8."""
    pixels = images.shape[-1] * images.shape[-2] * scale**2
    return iter(images.split(max(1, PIXELS // pixels)))
