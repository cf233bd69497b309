"""The main path with stand-ins for the networks: what must not be handed back is an error, not a picture."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import crop_face, framing
from revpers_core.faces.judges import DecisionRule
from revpers_core.faces.judges import cosine as cosine_of
from revpers_core.faces.masks import change_mask
from revpers_core.media.photo import PhotoOptions, PhotoPorts, anonymize_photo
from revpers_core.media.verdict import verdict
from revpers_core.method.anonymize import anonymize
from revpers_core.method.identity import identity_of
from revpers_core.method.schedule import sdxl_sigmas
from revpers_core.method.trajectory import Need
from revpers_core.method.types import Identity, Plan

PLAN = Plan(steps=4, guidance=-6.0)
SIGMAS = sdxl_sigmas()


@dataclass
class Host:
    """Latents are small pictures, and who someone is is what their picture looks like. calls: every identity asked for,
    with whether it was for the inversion (whose words are empty)."""

    decoded: Tensor | None = None
    calls: list[Identity] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def embed(self, image: Tensor) -> Identity:
        return identity_of(torch.nn.functional.pad(interpolate(image, (8, 8)).flatten(1) - 0.5, (0, 512 - 192)))

    def encode(self, image: Tensor) -> Tensor:
        return interpolate(image, scale_factor=1 / 8).mean(1, keepdim=True).expand(-1, 4, -1, -1) - 0.5

    def decode(self, latents: Tensor) -> Tensor:
        if self.decoded is not None:
            return self.decoded.expand(len(latents), -1, -1, -1)
        return interpolate(latents[:, :3].float() + 0.5, scale_factor=8).clamp(0, 1)

    def sigma(self, timestep: int) -> float:
        return SIGMAS[timestep]

    def at_once(self, latents: Tensor, requested: int = 0) -> int:
        return requested or 1

    def faces_at_once(self, shape: tuple[int, ...]) -> int:
        return shape[0]

    def branches(self, identity: Identity, latents: Tensor, prompt: str = "", **rest: object):
        self.calls.append(identity)
        push = identity.embedding.mean().to(latents)

        def predict(x: Tensor, sigma: float, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
            return x * 0.5, x * 0.5 + push

        return predict


def photo(seed: int = 0) -> Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_a_result_that_is_the_photo_is_an_error():
    with pytest.raises(ValueError, match="face 1 of 1 came out unchanged"):
        anonymize(photo(), Host(decoded=photo()), PLAN)
    anonymize(photo(), Host(decoded=1 - photo()), PLAN)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_is_an_error(bad):
    with pytest.raises(ValueError, match="the result holds NaN or infinite"):
        anonymize(photo(), Host(decoded=(1 - photo()).masked_fill(photo() > 0.99, bad)), PLAN)


def test_the_inversion_knows_nobody_and_the_sampling_the_person():
    host = Host(decoded=1 - photo())
    anonymize(photo(), host, PLAN)
    inversion, sampling = host.calls
    assert not inversion.embedding.any() and torch.equal(sampling.embedding, host.embed(photo()).embedding)


@pytest.mark.parametrize("guidance", [0.0, 4.0])
def test_guidance_that_leads_nowhere_is_an_error(guidance):
    with pytest.raises(ValueError, match="below 0"):
        anonymize(photo(), Host(decoded=1 - photo()), Plan(steps=4, guidance=guidance))
    asked: list[Tensor] = []
    tools = PhotoPorts(lambda image: asked.append(image) or [], lambda *_: None, lambda *_: None, 64)
    with pytest.raises(ValueError, match="below 0"):
        anonymize_photo(photo()[0], tools, PhotoOptions(guidance))
    assert not asked


def test_a_mask_that_leaves_the_face_as_it_was_is_an_error():
    image = torch.rand(3, 96, 96)
    crop = crop_face(image, Face((20, 20, 70, 76), framing(64).float() + 14, 0.9), 64)
    assert change_mask(crop, where=torch.ones(1, 96, 96)).max() > 0.9
    with pytest.raises(ValueError, match="leave 0% of a face to change"):
        change_mask(crop, where=torch.zeros(1, 96, 96))


@dataclass
class Somebody:
    """A judge as far as its rule goes."""

    rule: DecisionRule


@pytest.mark.parametrize(
    ("rendered", "measured", "said"),
    [
        (False, True, "not re-identified by 1 of 1 judges"),
        (True, True, "unverified: the judge knows rendered faces only"),
        (False, False, "unverified: the judge's threshold was not measured"),
    ],
)
def test_only_a_measured_judge_of_photos_vouches(rendered, measured, said):
    rule = DecisionRule(cosine_of, 0.5, -0.5, "a test", rendered=rendered, measured=measured)
    assert verdict([Somebody(rule)]) == said
