"""The pocket model with random weights, so that tests of loading and of the command need no trained ones."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import adaptive_avg_pool2d, pad

from revpers_core import pocket


@pytest.fixture
def offline(monkeypatch):
    """No test that asks for this may as much as look up a name."""
    asked = []

    def refuse(*args, **kwargs):
        asked.append(args)
        raise OSError("the network is off in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    assert asked == []


def randomised(module: torch.nn.Module, seed: int = 0, spread: float = 0.05) -> torch.nn.Module:
    """Every parameter moved, zero-initialised ones too, to values that half precision holds."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = spread * torch.randn(parameter.shape, generator=random)
            parameter.copy_((parameter + noise).half().float())
    return module.eval()


@pytest.fixture(scope="session")
def random_files(tmp_path_factory) -> Path:
    """A folder with pocket_sdxl.safetensors, pocket_faceid.safetensors and pocket_arcface.onnx, untrained."""
    from revpers_core.lab import nets, onnx_files, recognisers
    from revpers_core.pocket.vae import VAE

    folder = tmp_path_factory.mktemp("pocket")
    torch.manual_seed(0)
    model, vae = randomised(nets.Denoiser()), randomised(VAE(), 1)
    save_file(nets.sdxl_state(model, vae), folder / "pocket_sdxl.safetensors")
    save_file(dict(model.adapter.state_dict()), folder / "pocket_faceid.safetensors")
    face = torch.zeros(1, 3, 112, 112)
    onnx_files.write(recognisers.Recogniser(), face, folder / "pocket_arcface.onnx", "input.1", ["embedding"])
    return folder


@pytest.fixture
def random_pocket(random_files, monkeypatch) -> Path:
    """The same in the pocket model's place, with a recogniser that takes anything but a flat picture for a face."""
    from revpers_core.faces import recognise

    monkeypatch.setattr(pocket, "CHECKPOINT", random_files / "pocket_sdxl.safetensors")
    monkeypatch.setattr(pocket, "ADAPTER", random_files / "pocket_faceid.safetensors")
    monkeypatch.setattr(pocket, "FACE_MODEL", random_files / "pocket_arcface.onnx")
    monkeypatch.setattr(pocket, "MIN_NORM", 0.0)

    def features(self, faces):
        """Coarse pixels: unlike an untrained net, it tells pictures apart."""
        coarse = adaptive_avg_pool2d(faces, 13).flatten(1)
        seen = pad(coarse - coarse.mean(1, keepdim=True), (0, 5))
        return seen * (faces.flatten(1).std(1, keepdim=True) > 0.05)

    monkeypatch.setattr(recognise.FaceModel, "features", features)
    return random_files


SIZES = {"text_encoder": 24, "text_encoder_2": 40}


def open_clip(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A CLIPTextModelWithProjection under OpenCLIP's names."""
    out = {"text_projection": state["text_projection.weight"].T.contiguous()}
    names = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    layer = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    layer["self_attn.out_proj"] = "attn.out_proj"
    for key, value in state.items():
        name = key.removeprefix("text_model.")
        if name in names:
            out[names[name]] = value
        elif name.startswith("encoder.layers.") and "self_attn.q_proj" in name:
            block, kind = name.split(".")[2], name.split(".")[-1]
            parts = [state[key.replace("q_proj", p)] for p in ("q_proj", "k_proj", "v_proj")]
            out[f"transformer.resblocks.{block}.attn.in_proj_{kind}"] = torch.cat(parts)
        elif name.startswith("encoder.layers.") and not any(p in name for p in ("k_proj", "v_proj")):
            block, rest = name.removeprefix("encoder.layers.").split(".", 1)
            stem, kind = rest.rsplit(".", 1)
            out[f"transformer.resblocks.{block}.{layer[stem]}.{kind}"] = value
    return out


@pytest.fixture(scope="session")
def miniature(tmp_path_factory, random_files):
    """A folder with SDXL in miniature twice: ``mini.safetensors`` in the original layout, ``folder`` in diffusers'."""
    import diffusers
    from diffusers.loaders import single_file_utils
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from revpers_core.hosts.diffusers_files import POCKET_CONFIG, tokenizers

    root = tmp_path_factory.mktemp("mini")
    folder = root / "folder"
    shutil.copytree(POCKET_CONFIG, folder)
    torch.manual_seed(1)
    texts = {}
    for name, kind in (("text_encoder", CLIPTextModel), ("text_encoder_2", CLIPTextModelWithProjection)):
        config = json.loads((folder / name / "config.json").read_text())
        config |= {"hidden_size": SIZES[name], "num_attention_heads": 2}
        (folder / name / "config.json").write_text(json.dumps(config))
        texts[name] = kind(CLIPTextConfig(**config)).half().float().eval()
    random = load_file(random_files / "pocket_sdxl.safetensors")
    original = {k: v for k, v in random.items() if k.startswith(("model.diffusion_model.", "first_stage_model."))}
    unet = diffusers.UNet2DConditionModel.from_config(folder / "unet")
    unet.load_state_dict(single_file_utils.convert_ldm_unet_checkpoint(dict(original), unet.config))
    vae = diffusers.AutoencoderKL.from_config(folder / "vae")
    shapes = {k: v.shape for k, v in vae.state_dict().items()}
    converted = single_file_utils.convert_ldm_vae_checkpoint(dict(original), vae.config)
    vae.load_state_dict({k: v.view(shapes[k]) for k, v in converted.items()})
    for key, value in texts["text_encoder"].state_dict().items():
        name = "text_model." + key.removeprefix("text_model.")
        original[f"conditioner.embedders.0.transformer.{name}"] = value.half()
    for key, value in open_clip(texts["text_encoder_2"].state_dict()).items():
        original[f"conditioner.embedders.1.model.{key}"] = value.half().contiguous()
    original["conditioner.embedders.1.model.logit_scale"] = torch.tensor(4.6).half()
    save_file({k: v.clone() for k, v in original.items()}, root / "mini.safetensors")
    scheduler = diffusers.EulerDiscreteScheduler.from_config(
        diffusers.EulerDiscreteScheduler.load_config(folder / "scheduler")
    )
    whole = diffusers.StableDiffusionXLPipeline(unet=unet, vae=vae, scheduler=scheduler, **texts, **tokenizers())
    whole.save_pretrained(root / "saved")
    flat = load_file(random_files / "pocket_faceid.safetensors")
    parts = {
        p: {k.removeprefix(p + "."): v for k, v in flat.items() if k.startswith(p)}
        for p in ("image_proj", "ip_adapter")
    }
    torch.save(parts, root / "adapter.bin")
    return root
