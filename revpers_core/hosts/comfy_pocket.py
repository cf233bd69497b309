"""The pocket model in ComfyUI: SDXL's own classes at another size, known to ComfyUI only once this has run."""

from typing import Any

import comfy.latent_formats
import comfy.ldm.models.autoencoder
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .. import pocket
from ..adapters import weights as faceid
from ..faces import recognise
from ..media import gallery
from ..pocket.vae import GROUPS, VAE
from ..pocket.vocabulary import expand_vocabulary
from .comfy_adapter import Adapter
from .comfy_networks import place

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "projection_dim": 32,
}
STAND_IN = {"ch": 32, "out_ch": 3, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": []}
STAND_IN |= {"in_channels": 3, "resolution": 128, "z_channels": 4, "double_z": True, "dropout": 0.0}


class PocketOps(comfy.ops.manual_cast):
    """ComfyUI's operations with the pocket's 8 groups where SDXL has 32."""

    class GroupNorm(comfy.ops.manual_cast.GroupNorm):
        def __init__(self, num_groups: int, num_channels: int, *args: Any, **kwargs: Any):
            super().__init__(GROUPS, num_channels, *args, **kwargs)


class PocketTextEncoders(comfy.sdxl_clip.SDXLClipModel):
    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Any = None):
        sizes = {"clip_l_model_config": TEXT, "clip_g_model_config": TEXT}
        super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **sizes})


class PocketSDXL(comfy.supported_models.SDXL):
    is_pocket = True
    unet_config = {  # noqa: RUF012
        "model_channels": 32,
        "use_linear_in_transformer": True,
        "transformer_depth": [0, 0, 1, 1, 1, 1],
        "context_dim": 64,
        "adm_in_channels": 1568,
        "use_temporal_attention": False,
    }
    unet_extra_config = {"num_heads": -1, "num_head_channels": 16}  # noqa: RUF012

    def clip_target(self, state_dict: Any = None) -> Any:
        return comfy.supported_models_base.ClipTarget(comfy.sdxl_clip.SDXLTokenizer, PocketTextEncoders)


def load() -> tuple[Any, Any, Any, Adapter, recognise.FaceModel]:
    """(MODEL, CLIP, VAE, adapter, face model) from the files inside the package."""
    if PocketSDXL not in comfy.supported_models.models:
        comfy.supported_models.models.append(PocketSDXL)
    state = expand_vocabulary(comfy.utils.load_torch_file(str(pocket.CHECKPOINT)))
    vae = _vae({key.removeprefix(VAE_PREFIX): value for key, value in state.items() if key.startswith(VAE_PREFIX)})
    model, clip, _, _ = comfy.sd.load_state_dict_guess_config(
        state, output_vae=False, model_options={"custom_operations": PocketOps}
    )
    model.model.latent_format.latent_rgb_factors, model.model.latent_format.latent_rgb_factors_bias = _preview(vae)
    adapter = Adapter.of(faceid.load(pocket.ADAPTER))
    return model, clip, vae, adapter, recognise.load(pocket.FACE_MODEL, place(), min_norm=pocket.MIN_NORM)


def _preview(vae: Any) -> tuple[list[list[float]], list[float]]:
    """ComfyUI's live preview of this VAE: the linear map (4 x 3 and a bias) of latents to colours in [-1, 1], fitted on
    four faces."""
    faces = torch.stack([gallery.aligned_face(person, 0) for person in range(4)])
    latents = vae.encode(rearrange(faces, "b c h w -> b h w c")) * comfy.latent_formats.SDXL.scale_factor
    colours = rearrange(avg_pool2d(faces, 8), "b c h w -> (b h w) c") * 2 - 1
    features = torch.cat([rearrange(latents.float().cpu(), "b c h w -> (b h w) c"), torch.ones(len(colours), 1)], dim=1)
    *factors, bias = torch.linalg.lstsq(features, colours).solution.tolist()
    return factors, bias


VAE_PREFIX = "first_stage_model."


def _vae(state: dict[str, Tensor]) -> Any:
    """ComfyUI's VAE object around the pocket's network: ComfyUI's own one has 32 groups built in."""
    stand_in = comfy.ldm.models.autoencoder.AutoencoderKL(ddconfig=STAND_IN, embed_dim=4)
    vae = comfy.sd.VAE(sd=stand_in.state_dict(), config={"params": {"ddconfig": STAND_IN, "embed_dim": 4}})
    network = VAE()
    network.load_state_dict(state)
    vae.first_stage_model = network.eval().requires_grad_(False).to(vae.vae_dtype)
    vae.patcher = comfy.model_patcher.ModelPatcher(
        network, load_device=vae.device, offload_device=vae.patcher.offload_device
    )
    return vae
