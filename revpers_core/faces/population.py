"""How a recogniser sees people in general: where their embeddings lie, and from where on two are one person's.

A file beside the network says it, ``NAME.people.safetensors`` beside ``NAME.onnx``. Identities that are made up must
look like real embeddings: of rendered people's, 45 directions of 512 carry what tells people apart, so that a random
direction is nobody that the model has seen.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..method.population import Population

DIRECTIONS = 128
"""Directions that are kept: 99% of the variance of rendered people's embeddings."""
LEAST = 100
"""People below which the figures would tell of each of them, and say little of people in general."""


def of_people(embeddings: Tensor, same: float, source: str) -> Population:
    """From unit embeddings (N, D), one a person. Raises ValueError where they are fewer than ``LEAST``."""
    if len(embeddings) < LEAST:
        raise ValueError(f"expected {LEAST} people or more, got {len(embeddings)}")
    mean = embeddings.float().mean(0)
    _, spread, directions = torch.linalg.svd(embeddings.float() - mean, full_matrices=False)
    axes = directions * spread[:, None] / (len(embeddings) - 1) ** 0.5
    return Population(mean, axes[:DIRECTIONS], same, source)


def beside(network: str | Path) -> Path:
    """Where a network's population lies, whether it does or not."""
    path = Path(network)
    return path.with_name(f"{path.stem}.people.safetensors")


def find(network: str | Path) -> Population | None:
    """The population of a recogniser's file, None where nobody has measured it. Raises ValueError for a damaged one."""
    path = beside(network)
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            fields = json.loads(file.metadata()["population"])
            return Population(file.get_tensor("mean").float(), file.get_tensor("axes").float(), **fields)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} is no population of a recogniser ({error}): delete it or measure it") from error


def write(population: Population, network: str | Path) -> Path:
    """Put it beside the recogniser's file; half precision is enough for people made up."""
    fields = json.dumps({"same": population.same, "source": population.source})
    tensors = {"mean": population.mean.half(), "axes": population.axes.half().contiguous()}
    save_file(tensors, beside(network), metadata={"population": fields})
    return beside(network)
