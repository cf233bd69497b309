"""The pocket model with random weights, so that tests of loading and of the command need no trained ones."""

import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
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
