"""From a training state to the files that are shipped."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from .. import pocket
from ..faces import population
from ..media import gallery
from . import judge_threshold, onnx_files, pocket_population
from .data import Photos
from .detector import MAPS, Detector, decided, empty
from .feature_cache import baked
from .loop import averaged
from .nets import Denoiser, sdxl_state
from .recognisers import FACE, Judge, Recogniser, Regressors


def export(state_dir: Path, folder: Path = pocket.WEIGHTS) -> None:
    """Write every file whose stages have a checkpoint (averaged weights) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    face, photo = torch.zeros(1, 3, FACE, FACE), torch.zeros(1, 3, 128, 128)
    for stage, net, name, example, entry, exits in (
        ("recogniser", Recogniser(), "pocket_arcface", face, "input.1", ["embedding"]),
        ("judge", Judge(), "pocket_judge", face, "input.1", ["embedding"]),
        ("regressors", Regressors(), "pocket_factors", photo, "image", ["factors", "age", "sex", "skin"]),
    ):
        if (state_dir / stage).exists():
            net.load_state_dict(averaged(state_dir, stage)["net"])
            onnx_files.write(net, example, folder / f"{name}.onnx", entry, exits)
            if stage == "judge":
                _describe_judge(folder / f"{name}.onnx")
            if stage == "recogniser":
                _describe_population(Photos(state_dir / "people"), folder / f"{name}.onnx")
    if (state_dir / "detector").exists():
        finder = Detector()
        finder.load_state_dict(averaged(state_dir, "detector")["net"])
        empties = empty(Photos(state_dir / "people"), training=False)
        onnx_files.write(decided(finder, empties), photo, folder / "pocket_detector.onnx", "input", MAPS)
    if (state_dir / "unet").exists():
        model = Denoiser()
        model.load_state_dict(averaged(state_dir, "unet")["model"])
        save_file(sdxl_state(model, baked(state_dir)), folder / "pocket_sdxl.safetensors")
        adapter = {k: v.detach().half().contiguous() for k, v in model.adapter.state_dict().items()}
        save_file(adapter, folder / "pocket_faceid.safetensors")
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes its files private


def _describe_judge(judge: Path) -> None:
    """Measure the new judge's threshold on the gallery's strangers; the old one's would be another net's."""
    judge.with_suffix(".json").unlink(missing_ok=True)
    judge_threshold.write(torch.stack([gallery.aligned_face(person) for person in range(gallery.people())]), judge)


def _describe_population(photos: Photos, recogniser: Path) -> None:
    """Measure how the new recogniser sees people; the old one's population would be another net's."""
    population.beside(recogniser).unlink(missing_ok=True)
    try:
        pocket_population.write(photos, recogniser)
    except ValueError as error:
        print(f"{recogniser.name} has no population now ({error}): render more people and export again")
