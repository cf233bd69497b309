"""How many evaluations of the network does it need? Step counts and ways to save, each by the same measures."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..method.anonymize import invert_image, sample_image
from ..method.guidance import Interval
from ..method.schedule import Spacing
from ..method.settings import PRESETS
from ..method.students import steps_taken
from ..method.types import Plan, Ports
from ..metrics.interval import Estimate, bootstrap
from .evaluation import BATCH, PRESERVED, Crowd, Judges, measured, read_factors
from .world.factors import FACTORS

COUNTS = (4, 6, 8, 10, 12, 16, 20, 30, 100)
SAVING = (10, 16)
"""Step counts at which the other ways to save are tried."""
STUDENT_COUNTS = (2, 4, 6)
"""Step counts of a few-step student."""
BOTH = "both branches"
MIDDLE = Interval(0.29, 0.63)
"""Levels of the guidance interval: the middle half of the steps at the paper's skip."""

ABOUT = (
    "Every way runs on the same photos with the same guidance. Evaluations: pictures that go through the network, in "
    "both phases together; the paper's code takes 400. Factors kept: mean correlation of expression, gaze, pose and "
    "light with the truth. Distance: RMS of pixels to the result of {most} steps under another seed, over that of two "
    "such results; at 1 the difference is no larger than that of another seed. "
)
ABOUT_WAYS = (
    "One inversion branch: no words in either branch. Guidance in the middle: at the middle half of the steps only, "
    "one branch elsewhere.\n"
)
ABOUT_STUDENT = (
    "Few-step student ({student}): the model with the LoRA {lora}, distilled from it, at the levels that it was "
    "taught. Student's levels: the ordinary model at the same ones. Both branches: the ordinary model at its own.\n"
)


class Way(NamedTuple):
    """A way to run, and its settings."""

    name: str
    plan: Plan
    distilled: bool = False
    """By the student's network."""


class Network(NamedTuple):
    """What runs a plan. counted: its evaluations so far. folder: where its results are kept, if anywhere."""

    ports: Ports
    counted: Callable[[], int]
    folder: Path | None = None


class Pupil(NamedTuple):
    """A few-step student of the model, and its kind, of ``students.STUDENTS``."""

    network: Network
    kind: str


def ways(plan: Plan) -> list[Way]:
    """Fewer steps over the same range; then at some step counts what else saves or might help."""
    presets = {preset.steps: f" (preset {name})" for name, preset in PRESETS.items() if preset.skip == plan.skip}
    variants = [Way(f"{BOTH}{presets.get(n, '')}", replace(plan, steps=n)) for n in COUNTS]
    for n in SAVING:
        fewer = replace(plan, steps=n)
        variants += [
            Way("log-SNR spacing", replace(fewer, spacing=Spacing.LOG_SNR)),
            Way("one inversion branch", replace(fewer, one_branch=True)),
            Way("guidance in the middle", replace(fewer, interval=MIDDLE)),
        ]
    return variants


def student_ways(plan: Plan, student: str) -> list[Way]:
    """At each step count that the student knows: the student, and the ordinary model at its levels and at its own."""
    variants: list[Way] = []
    for n in dict.fromkeys(steps_taken(student, count, plan.skip) for count in STUDENT_COUNTS):
        fewer = replace(plan, steps=n)
        taught = replace(fewer, student=student)
        variants += [Way("few-step student", taught, True), Way("student's levels", taught), Way(BOTH, fewer)]
    return [*variants, Way(BOTH, plan)]


class PlanResult(NamedTuple):
    """What one way of running gives.

    images: (N, 3, S, S). evaluations: of the network for a face."""

    images: Tensor
    evaluations: int


def run_plan(photos: Tensor, network: Network, plan: Plan) -> PlanResult:
    """Results of a plan, each photo with noise of its own; those that are kept are taken from where they are."""
    parts, evaluations = list[Tensor](), 0
    ports, counted, folder = network
    for k, chunk in enumerate(photos.split(BATCH)):
        file = folder and folder / f"{_digest(chunk, plan, k)}.safetensors"
        if file is None or not file.is_file():
            before = counted()
            path = invert_image(chunk, ports, plan, indices=range(k * BATCH, k * BATCH + len(chunk)))
            parts.append(sample_image(path, ports.embed(chunk), ports, plan))
            evaluations = (counted() - before) // len(chunk)
            if file is not None:
                _keep(file, parts[-1], evaluations)
        else:
            with safe_open(str(file), "pt") as kept_file:
                parts.append(kept_file.get_tensor("images"))
                evaluations = int(kept_file.metadata()["evaluations"])
    return PlanResult(torch.cat(parts), evaluations)


def _digest(photos: Tensor, plan: Plan, number: int) -> str:
    """Of all that a part's results depend on beside the networks."""
    settled = hashlib.sha256(json.dumps([number, repr(plan)]).encode())
    settled.update(photos.contiguous().numpy().tobytes())
    return settled.hexdigest()[:32]


def _keep(file: Path, images: Tensor, evaluations: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    save_file({"images": images.contiguous()}, unfinished, {"evaluations": str(evaluations)})
    unfinished.replace(file)


def table(
    people: Crowd, network: Network, judges: Judges, plan: Plan, pupil: Pupil | None = None
) -> Iterator[dict[str, Any]]:
    """A row a way and judge: {"way", "steps", "evaluations" a face, "judge", metric: Estimate ...}. Results are kept
    where the networks say, so that a run that was stopped goes on.

    Beside the laboratory's measures: kept, the mean correlation of all factors that should stay; apart, the RMS pixel
    distance to the result of the plan as it is under another seed, over the distance of two such results: 1 is as near
    as the same settings under another seed.
    """
    most = run_plan(people.photos, network, plan)
    other = run_plan(people.photos, network, replace(plan, seed=plan.seed + 1)).images
    spread = _squares(most.images, other)
    for way in student_ways(plan, pupil.kind) if pupil else ways(plan):
        runs = pupil.network if pupil and way.distilled else network
        images, evaluations = most if way.plan == plan else run_plan(people.photos, runs, way.plan)
        distance = _squares(images, other)
        stays = {
            "kept": factor_correlation(people, images),
            "apart": bootstrap(lambda i, d=distance: float((d[i].mean() / spread[i].mean()).sqrt()), len(images)),
        }
        for name, judge in judges.items():
            labels = {"way": way.name, "steps": way.plan.steps, "evaluations": evaluations, "judge": name}
            yield {**labels, **measured(people, images, judge), **stays}


def fewest(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """For each judge the (steps, evaluations) of the shortest run with both branches from which on AUC and the factors
    kept lie within the intervals of the run with the most steps."""
    found: dict[str, tuple[int, int]] = {}
    for judge in dict.fromkeys(row["judge"] for row in rows):
        runs = [row for row in rows if row["judge"] == judge and _kind(row) == BOTH]
        runs.sort(key=lambda row: row["steps"], reverse=True)
        for row in runs:
            if not all(runs[0][name].low <= row[name].value <= runs[0][name].high for name in ("auc", "kept")):
                break
            found[judge] = (row["steps"], row["evaluations"])
    return found


def _squares(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean((1, 2, 3))


def factor_correlation(people: Crowd, images: Tensor) -> Estimate:
    """Mean correlation of what is read in the images with the true factors, over all that should stay."""
    columns = [FACTORS.index(name) for name in PRESERVED]
    estimated, true = read_factors(images).factors[:, columns].double(), people.factors[:, columns].double()

    def mean(i: Tensor) -> float:
        a, b = (values[i] - values[i].mean(0) for values in (estimated, true))
        return float(((a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))).mean())

    return bootstrap(mean, len(images))


def plot(rows: list[dict[str, Any]]) -> Any:
    """Privacy, factors and distance over evaluations as one judge's rows have them, bars are 95% intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = (("auc", f"does {rows[0]['judge']} still know them? (AUC)", 0.5), ("kept", "do the factors stay?", None))
    panels += (("apart", "distance to the most steps, in seeds", 1.0),)
    styles = {name: style for style, name in enumerate(dict.fromkeys(_kind(row) for row in rows))}
    for axes, (name, title, level) in zip(figure.subplots(1, 3), panels, strict=True):
        for kind, style in styles.items():
            some = sorted((row for row in rows if _kind(row) == kind), key=lambda row: row["evaluations"])
            x, estimates = [row["evaluations"] for row in some], [row[name] for row in some]
            bars = [
                [estimate.value - estimate.low for estimate in estimates],
                [estimate.high - estimate.value for estimate in estimates],
            ]
            look = {"fmt": ("o-", "s", "D", "^", "v-", "x")[style], "color": f"C{style}", "label": kind, "capsize": 2}
            axes.errorbar(x, [estimate.value for estimate in estimates], bars, **look)
        if level is not None:
            axes.axhline(level, color="grey", lw=0.8)
        axes.set(title=title, xlabel="evaluations a face", xscale="log")
        axes.set_xticks(ticks := [4 * n for n in COUNTS], [str(n) for n in ticks], minor=False)
        axes.minorticks_off()
        axes.legend(fontsize=7)
    return figure


def _kind(row: dict[str, Any]) -> str:
    return row["way"].split(" (")[0]
