"""Do the strengths that the pocket templates ship with pass the pocket judge? 20 held-out people, 3 seeds.

python tests/bench/template_strengths.py           the templates' own settings
python tests/bench/template_strengths.py -6 -8     these guidances instead, at the templates' steps and skip
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from revpers_core import Attribute, Plan, ReversePersonalizationPipeline, pocket
from revpers_core.faces import registry
from revpers_core.faces.geometry import face_in_aligned
from revpers_core.method.anonymize import invert_image, sample_image, source_similarity
from revpers_core.method.identity import SAME_PERSON

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
PEOPLE, SEEDS, FULL = 20, 3, -10.0


class Setting(NamedTuple):
    """What a template runs with."""

    steps: int
    skip: float
    guidance: float
    words: Attribute


def settings(prompt: dict[str, Any]) -> set[Setting]:
    """Of every sampler of a template that saves something and has no judge."""
    nodes = {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}
    if not any(name == "RevPersSave" for name, _ in nodes.values()):
        return set()
    found = set[Setting]()
    for name, inputs in nodes.values():
        if name not in ("NegativeIDGuidanceSampler", "RevPersAnonymizeFaces") or "judge" in inputs:
            continue
        run = nodes[inputs["trajectory"][0]][1] if "trajectory" in inputs else inputs
        said = nodes[inputs["attribute"][0]][1]
        words = {key: said[key] if said[key] != "any" else "" for key in ("age", "sex", "look", "text")}
        guidance = inputs.get("guidance", FULL) * inputs["strength"]
        found.add(Setting(run["steps"], run["skip"], guidance, Attribute(**words)))
    return found


def main() -> None:
    every = {path.stem: settings(json.loads(path.read_text())) for path in sorted(API.glob("*.pocket.json"))}
    wanted = sorted(set[Setting]().union(*every.values()), key=str)
    if others := [float(word) for word in sys.argv[1:]]:
        wanted = [one._replace(guidance=guidance) for one in wanted for guidance in others]
    pipeline, judge = ReversePersonalizationPipeline.from_pocket(), registry.judge("pocket")
    photos = torch.stack([pocket.held_out_face(person, 0) for person in range(PEOPLE)])
    place, who = face_in_aligned(photos[0]), pipeline.embed(photos)
    sources = [judge.embed(photo, place) for photo in photos]
    print("| steps | skip | guidance | words | known to the judge | to the recogniser that steers | largest likeness |")
    print("|---|---|---|---|---|---|---|")
    trajectories: dict[tuple[int, float, int], Any] = {}
    for one in wanted:
        known = steering = 0
        most = -1.0
        for seed in range(SEEDS):
            plan = Plan(one.steps, one.skip, one.guidance, seed, one.words)
            key = (one.steps, one.skip, seed)
            if key not in trajectories:
                trajectories[key] = invert_image(photos, pipeline, plan)
            made = sample_image(trajectories[key], who, pipeline, plan)
            likeness = [judge.similarity(a, judge.embed(image, place)) for a, image in zip(sources, made, strict=True)]
            known += sum(not value < judge.rule.threshold for value in likeness)
            most = max(most, *likeness)
            alike = [
                source_similarity(who.rows(slice(i, i + 1)), image, pipeline.embed)
                for i, image in enumerate(made.split(1))
            ]
            steering += sum(value is not None and value >= SAME_PERSON for value in alike)
        total = PEOPLE * SEEDS
        print(
            f"| {one.steps} | {one.skip:g} | {one.guidance:g} | {one.words.prompt or '-'} | {known} of {total} | "
            f"{steering} of {total} | {most:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
