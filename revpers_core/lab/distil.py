"""Distil the pocket UNet into a few-step student: latent consistency (arXiv:2310.04378), learned by a LoRA.

The student is taught to say at each of its timesteps where the ordinary model's deterministic path from there ends.
Every branch is distilled without guidance, as Hyper-SD's CFG LoRAs are, so that guidance stays free to choose.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from tqdm import tqdm

from ..faces import recognise
from ..faces.geometry import face_of_aligned
from ..method.settings import SKIP
from ..method.students import known_within
from ..pocket import FACE_MODEL
from .data import PHOTOS, Photos
from .loop import Budget, Task, averaged, fit
from .nets import Denoiser, Prompts, alphas_cumprod, shipped
from .stages import KNOWN, MIN_SNR, SAID, placed

KIND = "lcm"
"""Whose timesteps the student learns, as far as a run visits them."""
RANK = 32
PEOPLE = 500
"""Training people at most."""
COUNT = 32
"""Photos a step."""
MINUTES = 40.0
STAGE = "student"


class LowRank(nn.Module):
    """A low-rank addition to the weight of a linear layer or a convolution, nothing until it has learned."""

    def __init__(self, weight: Tensor, rank: int = RANK):
        super().__init__()
        self.down = nn.Parameter(torch.empty(min(rank, *weight.flatten(1).shape), *weight.shape[1:]))
        self.up = nn.Parameter(torch.zeros(len(weight), len(self.down)))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with the addition."""
        return weight + (self.up @ self.down.flatten(1)).view_as(weight)


def low_rank(unet: nn.Module) -> nn.ModuleDict:
    """Open a frozen UNet to distillation: the additions by the names of their layers, as LoRAs of SDXL have them: all
    of its blocks, not the embeddings of time and sizes, nor the first and the last convolution."""
    additions: dict[str, nn.Module] = {}
    for name, layer in list(unet.named_modules()):
        inside = name.startswith(("input_blocks", "middle_block", "output_blocks")) and name != "input_blocks.0.0"
        if inside and isinstance(layer, (nn.Linear, nn.Conv2d)):
            addition = LowRank(layer.weight)
            parametrize.register_parametrization(layer, "weight", addition)
            additions[name.replace(".", "_")] = addition
    return nn.ModuleDict(additions)


def kohya(additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The additions' state as the tensors of a LoRA file for ComfyUI and diffusers alike, in half precision."""
    state: dict[str, Tensor] = {}
    for key, value in additions.items():
        layer, part = key.rsplit(".", 1)
        up_shape = (*value.shape, *[1] * (additions[f"{layer}.down"].ndim - 2))
        state[f"lora_unet_{layer}.lora_{part}.weight"] = (
            (value.view(up_shape) if part == "up" else value).half().contiguous()
        )
    return state


@dataclass(frozen=True)
class Lessons:
    """What the student learns from. latents: (N, 4, 16, 16), scaled. embeddings: (N, 512), unit length, those of a
    person's photos one after another. context, pooled: encoded words of each photo."""

    latents: Tensor
    embeddings: Tensor
    context: Tensor
    pooled: Tensor


@torch.no_grad()
def lessons(folder: Path, photos: Photos, people: int = PEOPLE) -> Lessons:
    """The first training ``people`` as the shipped nets see them; kept in the folder."""
    path = folder / f"lessons-{people}.pt"
    if not path.exists():
        model, vae = shipped()
        model, vae, recogniser = model.eval(), vae.eval(), recognise.load(FACE_MODEL)
        parts: list[tuple[Tensor, ...]] = []
        indices = torch.arange(min(people * PHOTOS, len(photos)))
        for batch in tqdm(indices.split(4 * PHOTOS), desc="photographs", mininterval=10):
            said = [photos.annotations.words[int(i)] for i in batch]
            text = model.prompts([", ".join(filter(None, words.values())) for words in said])
            images = photos[batch]
            features = recogniser.features(face_of_aligned(images))
            parts.append((vae.encode(images * 2 - 1), nn.functional.normalize(features), text.context, text.pooled))
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        torch.save([torch.cat(part) for part in zip(*parts, strict=True)], unfinished)
        unfinished.replace(path)
    return Lessons(*torch.load(path, weights_only=True))


def student(material: Lessons, device: torch.device, skip: float = SKIP.default) -> Task:
    """The student's training: at a timestep t that it knows, its x0 must be that at the next one it knows, s, on the
    ordinary model's path from t to s. Before timestep 0 the path is taken as straight to its end.

    The conditions are those of the method: somebody and no words, nobody and words, nobody and no words or zeros.
    """
    torch.manual_seed(6)
    teacher, pupil = (placed(shipped()[0], device).eval().requires_grad_(False) for _ in range(2))
    additions = low_rank(pupil.unet).to(device)
    known = torch.tensor([*known_within(KIND, skip), 0])
    sigma_of = (1 / alphas_cumprod() - 1).sqrt()
    empty = teacher.prompts([""])

    def noise(model: Denoiser, y: Tensor, t: Tensor, conditions: tuple[Prompts, Tensor]) -> Tensor:
        """The noise that a network sees in latents y = x0 + sigma n."""
        sigma = sigma_of[t].to(device)[:, None, None, None]
        return model(y / (1 + sigma**2).sqrt(), t.to(device), *conditions)

    def loss(generator: torch.Generator, spent: float) -> Mapping[str, Tensor]:
        del spent
        index = torch.randint(len(material.latents), (COUNT,), generator=generator)
        conditions = _conditions(material, index, empty, generator, device)
        place = torch.randint(len(known) - 1, (COUNT,), generator=generator)
        t, s = known[place], known[place + 1]
        high, low = (sigma_of[steps].to(device)[:, None, None, None] for steps in (t, s))
        x0 = material.latents[index].to(device)
        y = x0 + high * torch.randn(x0.shape, generator=generator).to(device)
        with torch.no_grad():
            seen = noise(teacher, y, t, conditions)
            ahead = y + (low - high) * seen
            ends = (s == 0).to(device)[:, None, None, None]
            target = ahead - low * torch.where(ends, seen, noise(pupil, ahead, s, conditions))
        miss = ((y - target) / high - noise(pupil, y, t, conditions)).square()
        return {"consistency": (miss * (MIN_SNR * high**2).clamp_max(1)).mean()}

    return Task(STAGE, {"additions": additions}, loss, rate=1e-3, decay=0.0)


def _conditions(
    material: Lessons, index: Tensor, empty: Prompts, generator: torch.Generator, device: torch.device
) -> tuple[Prompts, Tensor]:
    """Words and identities (B, 512) for photos, drawn as the method pairs them; identities are read in other photos."""
    luck = torch.rand(len(index), 2, generator=generator)
    somebody = luck[:, 0] < KNOWN
    said, zero = ~somebody & (luck[:, 1] < SAID / 2), ~somebody & (luck[:, 1] > (1 + SAID) / 2)
    other = index - index % PHOTOS + (index + 1) % PHOTOS
    identity = torch.where(somebody[:, None], material.embeddings[other], 0.0)

    def words(own: Tensor, none: Tensor) -> Tensor:
        shape = (-1, *[1] * (own.ndim - 1))
        return torch.where(said.view(shape), own, none * ~zero.view(shape)).to(device)

    context = words(material.context[index], empty.context.cpu())
    return Prompts(context, words(material.pooled[index], empty.pooled.cpu())), identity.to(device)


def distil(
    folder: Path, photos: Photos, output: Path, *, steps: int | None = None, minutes: float = MINUTES,
    people: int = PEOPLE, device: str = "cpu",
) -> int:  # fmt: skip
    """Distil, or go on; writes the LoRA to ``output`` and returns the step reached.

    folder: holds checkpoints. photos: the training photographs. steps, minutes: the whole budget, over all runs.
    """
    task = student(lessons(folder, photos, people), torch.device(device))
    reached = fit(task, folder, Budget(steps) if steps else Budget(minutes=minutes))
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file(kohya(averaged(folder, STAGE)["additions"]), output)
    output.chmod(0o644)  # safetensors makes its files private
    return reached


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--state", type=Path, default=Path.home() / ".cache/revpers/distil", metavar="DIR",
        help="of checkpoints (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--photos", type=Path, default=Path.home() / ".cache/revpers/pocket/people", metavar="DIR",
        help="of training photographs (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=Path("pocket_lcm.safetensors"), metavar="FILE")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="over all runs (default %(default)s)")
    parser.add_argument("--steps", type=int, help="instead of minutes, over all runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Distil as the options say; returns the step reached."""
    torch.set_num_threads(args.threads)
    return distil(
        args.state, Photos(args.photos), args.output, steps=args.steps, minutes=args.minutes, device=args.device
    )
