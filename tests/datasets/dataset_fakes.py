"""A stand-in for the model that costs nothing, importable by workers of any kind, and files to feed it."""

import io
import os
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from revpers_core.media.anonymize_file import JobConfig
from revpers_core.method.types import Identity, NoFaceError, Plan

SIDE = 64
DEADLY = (0, 255, 0)
"""A picture of this colour kills its worker."""


class FakePipeline:
    """Adds the seed's noise and turns colours by what the words say; refuses grey pictures as a recogniser would."""

    size = SIDE
    unet_evaluations = 0

    def embed(self, image: Tensor) -> Identity:
        if float(image.std()) < 1e-3:
            raise NoFaceError("no face was seen")
        return Identity(torch.nn.functional.normalize(image.flatten(1)[:, :512] - 0.5))

    def anonymize(self, image: Tensor, plan: Plan | None = None, on_step=None):
        assert plan is not None
        source = self.embed(image)
        noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(plan.seed))
        result = (1 - image).roll(len(plan.attribute.prompt), 1) * 0.5 + noise * 0.5
        return SimpleNamespace(image=result, reconstruction=image, source=source, trajectory=None)


class DeadlyPipeline(FakePipeline):
    """The worker dies, as if the system had ended it, on a picture whose first pixel is ``DEADLY``."""

    def anonymize(self, image: Tensor, plan: Plan | None = None, on_step=None):
        if (image[0, :, 0, 0] * 255).round().int().tolist() == list(DEADLY):
            os._exit(9)
        return super().anonymize(image, plan, on_step)


def load() -> JobConfig:
    return JobConfig(FakePipeline(), Plan(2, 0.5, -5.0), {}, False)


def load_deadly() -> JobConfig:
    return JobConfig(DeadlyPipeline(), Plan(2, 0.5, -5.0), {}, False)


def load_logging(folder: Path) -> JobConfig:
    """Takes its time, and leaves a line in a file of its own for each row: the row's seed."""

    class Logging(FakePipeline):
        def anonymize(self, image: Tensor, plan: Plan | None = None, on_step=None):
            time.sleep(0.3)
            result = super().anonymize(image, plan, on_step)
            with (folder / str(os.getpid())).open("a") as file:
                file.write(f"{plan.seed}\n")
            return result

    return JobConfig(Logging(), Plan(2, 0.5, -5.0), {}, False)


def load_nothing() -> JobConfig:
    raise ValueError("the checkpoint is not there")


def load_counting(folder: Path) -> JobConfig:
    """Leaves a file for each time that a worker loads."""
    (folder / f"loaded-{os.getpid()}").touch()
    return load()


def picture(seed: int, side: int = SIDE) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "PNG")
    return whole.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def table(path: Path, rows: list[dict], group: int = 3) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
