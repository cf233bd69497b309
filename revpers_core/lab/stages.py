"""What each training stage learns: its nets, its losses and the batches they see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pocket import FACE_MODEL, FACTORS, JUDGE
from ..pocket.vocabulary import VOCABULARY
from . import data
from .augment import disturbed, face_input, faceless_input, jittered_input
from .loop import Task
from .nets import STEPS, Denoiser, Prompts, alphas_cumprod, shipped
from .recognisers import EMBEDDING, UNITS, Judge, Recogniser, Regressors
from .text import Vocabulary, pad

EXAMPLES = 128  # photographs by which weights that ship are read
MARGIN, SHARPNESS, HARDER = 0.3, 28.0, 0.08
PRESENT, ABSENT = 10.0, 2.0  # lengths that embeddings of a face reach at least, and of no face at most
MIN_SNR = 5.0
VISITED, OFTEN = 400, 0.75
"""Most runs leave out 70% of the noise and visit no timestep from VISITED on; this share of the lessons is below it."""
KNOWN, SAID_OF_KNOWN, SAID = 0.55, 0.15, 0.7  # shares: with an identity; of those, and of the others, with words
BLUR = 0.75
"""Most that is added to an identity, of its length: it keeps a cosine of .8. Without it nobody lies between those who
were shown, and a person who was not is taken for the nearest."""


M = TypeVar("M", bound=nn.Module)


def placed(net: M, device: torch.device) -> M:
    """The net on the device, laid out for fast convolutions."""
    net.to(device)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs lack this form)
    return net


def packed(x: Tensor) -> Tensor:
    """A tensor laid out for fast convolutions."""
    return x.contiguous(memory_format=torch.channels_last)


def begin_as_shipped(net: nn.Module, path: Path, example: Tensor) -> None:
    """Fill a network with the weights of a file that ships. example: some of what it will be shown."""
    from . import onnx_files  # needs onnx, which the command line lives without

    onnx_files.read(net, path, example)


def recogniser(photos: data.Photos, device: torch.device, judge: bool = False, fresh: bool = False) -> Task:
    """A CosFace recogniser (Wang et al. 2018): A of some people, B, another network, of the others. Impostors of the
    same age, sex and skin count as more alike than they are. Lengths learn where no face is. fresh: begin with random
    weights instead of those that ship."""
    torch.manual_seed(2 if judge else 1)
    net = (Judge if judge else Recogniser)()
    classes = nn.Linear(EMBEDDING, data.PEOPLE, bias=False)
    indices = photos.of(judge)
    persons, number = photos.annotations.person[indices].unique(return_inverse=True)
    if not fresh:
        begin_as_shipped(net, JUDGE if judge else FACE_MODEL, face_input(photos[indices[:EXAMPLES]]))
        _begin_at_means(classes, net, photos, indices)
    net, classes = placed(net, device), classes.to(device)
    group = (photos.annotations.attributes[indices] @ torch.tensor([10, 5, 1])).to(device)
    kinds = group.new_empty(len(persons)).scatter(0, number.to(device), group)
    count, absent = 112, 16

    def loss(generator: torch.Generator, spent: float) -> Mapping[str, Tensor]:
        ramp = min(1.0, spent / 0.3)
        batch = torch.randint(len(indices), (count,), generator=generator)
        images = photos[indices[batch]].to(device)
        faces = disturbed(jittered_input(images, generator, *((0.06, 0.02) if judge else ())), generator)
        places = photos.places[torch.randint(len(photos.places), (absent,), generator=generator)]
        x = packed(torch.cat((faces, faceless_input(places.float().to(device) / 255, generator))))
        f = net(x).float()
        labels = number[batch].to(device)
        own = F.one_hot(labels, len(persons)).bool()
        cosine = F.linear(F.normalize(f[:count]), F.normalize(classes.weight[persons.to(device)])).float()
        alike = HARDER * (group[batch.to(device)][:, None] == kinds[None])
        cosine = torch.where(own, cosine - ramp * MARGIN, cosine + ramp * alike)
        length = f.norm(dim=1)
        missing = 0.05 * F.relu(PRESENT + 2 - length[:count]).mean()
        imagined = 0.2 * F.relu(length[count:] - ABSENT / 2).mean()
        return {"cosface": F.cross_entropy(SHARPNESS * cosine, labels), "length": missing + imagined}

    return Task("judge" if judge else "recogniser", {"net": net, "classes": classes}, loss, 2e-3, decay=0.02, fast=True)


@torch.no_grad()
def _begin_at_means(classes: nn.Linear, net: nn.Module, photos: data.Photos, indices: Tensor) -> None:
    """Each person's class begins where the network as it is sees the person's photographs."""
    net.eval()
    embedded = torch.cat([F.normalize(net(face_input(photos[chunk]))) for chunk in indices.split(64)])
    means = torch.zeros_like(classes.weight).index_add_(0, photos.annotations.person[indices], embedded)
    known = means.norm(dim=1) > 0
    classes.weight[known] = F.normalize(means[known])
    net.train()


def regressors(
    photos: data.Photos, device: torch.device, reconstructed: Tensor | None = None, fresh: bool = False
) -> Task:
    """Factors (smooth L1 in units of about their spread) and attributes (cross-entropy) read off whole photographs,
    and, of half of them, off what the VAE makes of them. reconstructed: (N, 3, S, S) uint8 of all photographs. fresh:
    as for the recogniser."""
    torch.manual_seed(3)
    net = Regressors()
    if not fresh:
        begin_as_shipped(net, FACTORS, photos[torch.arange(min(EXAMPLES, len(photos)))])
    net = placed(net, device)
    factors = (photos.annotations.factors / torch.tensor(UNITS)).to(device)
    kinds = photos.annotations.attributes.to(device)
    count = 96

    def loss(generator: torch.Generator, spent: float) -> Mapping[str, Tensor]:
        del spent
        index = torch.randint(len(photos), (count,), generator=generator)
        images = photos[index]
        if reconstructed is not None:
            images[: count // 2] = reconstructed[index[: count // 2]].float() / 255
        x = disturbed(images.to(device) * 2 - 1, generator)
        read, *logits = net(packed(x / 2 + 0.5))
        terms = {"factors": 4 * F.smooth_l1_loss(read.float() / net.units, factors[index], beta=0.1)}
        for i, (name, logit) in enumerate(zip(("age", "sex", "skin"), logits, strict=True)):
            terms[name] = 0.1 * F.cross_entropy(logit.float(), kinds[index, i])
        return terms

    return Task("regressors", {"net": net}, loss, rate=2e-3, decay=0.02, fast=True)


class Captions:
    """Prompts of the training photographs as compact table rows, with words left out or made unknown at random."""

    def __init__(self, vocabulary: Vocabulary, words: Sequence[dict[str, str]]):
        self.words, self.vocabulary = words, vocabulary
        self.unknown = next(i for i in range(VOCABULARY) if i not in vocabulary.ids)

    def draw(self, index: Sequence[int], included: Sequence[bool], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(rows (B, 77), end (B,)) of the captions that are said, the others empty. Of a caption up to 90% of the words
        are left out; any token is unknown in 2%, and unknown words stand before the rest in 10%."""
        luck = torch.rand(len(index), 9, generator=generator).tolist()
        lines = [
            self._line(self.words[i], row) if say else [] for i, row, say in zip(index, luck, included, strict=True)
        ]
        tokens = pad(lines)
        end = torch.tensor([len(line) + 1 for line in lines])
        inside = torch.arange(tokens.shape[1]) < end[:, None]
        inside[:, 0] = False
        masked = inside & (torch.rand(tokens.shape, generator=generator) < 0.02)
        return self.vocabulary.rows[torch.where(masked, self.unknown, tokens)], end

    def _line(self, words: dict[str, str], luck: list[float]) -> list[int]:
        chosen = [
            word if chance > 0.9 * luck[0] else "" for word, chance in zip(words.values(), luck[1:], strict=False)
        ]
        parts = [[w for w in chosen[:2] if w], *([w] for w in chosen[2:] if w)]
        line = [self.unknown] * (1 + int(luck[8] * 1000) % 3) if luck[8] < 0.1 else []
        for i, phrases in enumerate(phrases for phrases in parts if phrases):
            line += self.vocabulary.phrases[","] if i else []
            line += [token for phrase in phrases for token in self.vocabulary.phrases[phrase]]
        return line


def blurred(identities: Tensor, generator: torch.Generator) -> Tensor:
    """Unit identities (N, 512) moved in random directions, each by another length up to BLUR, and unit again."""
    direction = F.normalize(torch.randn(identities.shape, generator=generator))
    length = BLUR * torch.rand(len(identities), 1, generator=generator)
    return F.normalize(identities + length * direction)


def denoiser(
    photos: data.Photos, latents: Tensor, embeddings: Tensor, device: torch.device, fresh: bool = False
) -> Task:
    """UNet, text encoders and adapter together, noise prediction, min-SNR-5 (Hang et al. 2023).

    latents: (2 N, 4, 16, 16) scaled, of photographs and of their mirrored selves; embeddings: (N, 512) unit length. The
    conditions are those that the method uses:
    somebody (from another photo) and no words, nobody and words, nobody and no words or zeros; seldom all at once:
    an identity is learned slowly where the words say most of it. fresh: begin with random weights instead of those
    that ship.
    """
    torch.manual_seed(5)
    model = placed(Denoiser() if fresh else shipped()[0], device)
    captions = Captions(model.vocabulary, photos.annotations.words)
    abar = alphas_cumprod()
    count = 32

    def loss(generator: torch.Generator, spent: float) -> Mapping[str, Tensor]:
        del spent
        shown = torch.randint(len(latents), (count,), generator=generator)
        index = shown % len(photos)
        other = photos.another(index, generator)
        luck = torch.rand(count, 3, generator=generator)
        has_identity = luck[:, 0] < KNOWN
        has_caption = luck[:, 1] < torch.where(has_identity, SAID_OF_KNOWN, SAID)
        rows, end = captions.draw(index.tolist(), has_caption.tolist(), generator)
        identity = torch.where(has_identity[:, None], blurred(embeddings[other], generator), 0.0).to(device)
        reach = torch.where(torch.rand(count, generator=generator) < OFTEN, VISITED, STEPS)
        t = (torch.rand(count, generator=generator) * reach).long()
        noise = torch.randn(count, *latents.shape[1:], generator=generator).to(device)
        keep = (has_identity | has_caption | (luck[:, 2] < 0.5)).float().to(device)
        text = model.encode(rows.to(device), end.to(device))
        text = Prompts(text.context * keep[:, None, None], text.pooled * keep[:, None])
        a = abar[t].to(device)[:, None, None, None]
        x = a.sqrt() * latents[shown].to(device) + (1 - a).sqrt() * noise
        predicted = model(packed(x), t.to(device), text, identity)
        snr = a / (1 - a)
        return {"noise": ((predicted.float() - noise).square() * (MIN_SNR / snr).clamp_max(1)).mean()}

    return Task("unet", {"model": model}, loss, rate=1.5e-3)
