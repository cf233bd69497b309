"""Who runs: ours, the plain loop, LEDITS++. Each takes the same picture from pixels to pixels."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from models import Contest
from reference import Network, Settings, Words, network, run
from torch import Tensor

from revpers_core.media import images
from revpers_core.method.anonymize import invert_image, sample_image
from revpers_core.method.guidance import network_guidance, recorded_guidance
from revpers_core.method.identity import null_identity
from revpers_core.method.trajectory import SeededNoise, sample
from revpers_core.method.types import Plan

Run = Callable[[], Any]


def of(contest: Contest, plan: Plan, fewer_steps: Sequence[int]) -> dict[str, tuple[Any, Run]]:
    """(the UNet that is asked, the run) by name; ``fewer_steps``: steps of our shorter runs."""
    ours, unet = contest.ours, contest.ours.sdxl.unet
    path = invert_image(contest.image, ours, plan)
    identity = ours.embed(contest.image)

    def shorter(steps: int) -> Run:
        return lambda: ours.anonymize(contest.image, replace(plan, steps=steps))

    return {
        "plain loop": (contest.loop, lambda: plain_loop(contest, contest.loop, plan)),
        "plain loop, LoRA merged": (contest.merged, lambda: plain_loop(contest, contest.merged, plan)),
        "LEDITS++ (diffusers)": (contest.ledits.unet, lambda: ledits(contest, plan)),
        "ours": (unet, lambda: ours.anonymize(contest.image, plan)),
        "ours, one step a call": (unet, lambda: ours.anonymize(contest.image, replace(plan, at_once=1))),
        **{f"ours, {steps} steps": (unet, shorter(steps)) for steps in fewer_steps},
        "ours, another guidance": (
            unet,
            lambda: sample_image(path, identity, ours, replace(plan, guidance=plan.guidance / 2)),
        ),
    }


def plain_loop(contest: Contest, unet: Any, plan: Plan, as_shipped: bool = True) -> tuple[Tensor, Tensor]:
    """The paper's code from pixels to pixels, its spare decoding of the photo's latents included: (image, latents)."""
    ours = contest.ours
    latents = ours.encode(contest.image)
    ours.decode(latents)
    inverting, sampling = plain_networks(contest, unet, plan)
    noise = SeededNoise(plan.steps, latents.shape, plan.seed)
    settings = Settings(plan.steps, plan.skip, plan.guidance, as_shipped)
    result = run(inverting, sampling, latents.float(), list(noise), settings)
    return ours.decode(result), result


def plain_networks(contest: Contest, unet: Any, plan: Plan) -> tuple[Network, Network]:
    """Of the inversion (nobody) and of the sampling (the person in the picture)."""
    ours, side = contest.ours, contest.image.shape[-1] // 8
    embedding = ours.embed(contest.image).embedding
    conditions = ours.conditions(null_identity(1), torch.empty(1, 4, side, side), "")
    words = Words(conditions.embeds, conditions.pooled, conditions.time_ids)
    return tuple(network(unet, words, one, plan.guidance) for one in (torch.zeros_like(embedding), embedding))


def agreement(contest: Contest, plan: Plan) -> float:
    """max |difference| / max |loop| of the final latents: ours against the plain loop without its oddities."""
    latents = plain_loop(contest, contest.loop, plan, as_shipped=False)[1]
    path = invert_image(contest.image, contest.ours, plan)
    branches = contest.ours.branches(contest.ours.embed(contest.image), path.x0)
    result = sample(network_guidance(branches, plan.guidance), path, recorded_guidance(plan.guidance))
    return float((result - latents).abs().max() / latents.abs().max())


def ledits(contest: Contest, plan: Plan) -> np.ndarray:
    """An edit by words with as many steps; no adapter. One branch inverts, two sample: 3 evaluations a step."""
    pipeline, generator = contest.ledits, torch.Generator(contest.device).manual_seed(plan.seed)
    picture = images.to_pil(contest.image[0])
    pipeline.invert(picture, num_inversion_steps=plan.steps, skip=plan.skip, generator=generator)
    return pipeline(
        editing_prompt=["a young woman"],
        edit_guidance_scale=5.0,
        edit_threshold=0.9,
        use_intersect_mask=False,
        generator=generator,
        output_type="np",
    ).images
