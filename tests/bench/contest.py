"""Everyone in turns, several times over, beside the machine's own matmul rate: medians of paired ratios."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import contestants
import torch
from meter import Cost, cost, middle, seconds
from models import Contest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from revpers_core.method.types import Plan

BASELINE = "plain loop"


@dataclass(frozen=True)
class Rate:
    """Of multiplying large square matrices, in FLOP a second: by the clock and by the process's own time."""

    wall: float
    cpu: float

    def floor(self, flops: float) -> Cost:
        """The least that so many FLOP can take here."""
        return Cost(0, 0, flops / self.wall, flops / self.cpu, 0.0, 0.0)


def matmul_rate(device: str, dtype: torch.dtype, tries: int = 5) -> Rate:
    """The best of a few tries."""
    side = 8192 if device == "cuda" else 1536
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    torch.mm(a, b)
    taken = [seconds(lambda: torch.mm(a, b), device) for _ in range(tries)]
    return Rate(*(2 * side**3 / min(column) for column in zip(*taken, strict=True)))


def flops(call: Callable[[], object]) -> float:
    """Of the matrix products and convolutions of a network's call, multiply and add counted apart."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def row_flops(contest: Contest, plan: Plan) -> float:
    """Of one evaluation: one row through the UNet with its adapter merged in."""
    sampling = contestants.plain_networks(contest, contest.merged, plan)[1]
    latents = contest.ours.encode(contest.image)
    return flops(lambda: sampling(latents, 200)) / 2


def table(
    contest: Contest, plan: Plan, fewer_steps: Sequence[int], repeats: int, leave_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Costs by name (medians), with ``ratio`` to the plain loop and ``floors`` to the floor, taken round by round."""

    def taking_part(plan: Plan, fewer_steps: Sequence[int]) -> dict[str, Any]:
        return {name: run for name, run in contestants.of(contest, plan, fewer_steps).items() if name not in leave_out}

    runs, one = taking_part(plan, fewer_steps), row_flops(contest, plan)
    for _, run in taking_part(replace(plan, steps=2), [2]).values():
        run()  # warm
    rounds: list[dict[str, Cost]] = []
    rates: list[Rate] = []
    for _ in range(repeats):
        rates.append(matmul_rate(contest.device, contest.dtype))
        rounds.append({name: cost(unet, run) for name, (unet, run) in runs.items()})

    def spent(cost: Cost) -> float:
        return cost.wall if contest.device == "cuda" else cost.cpu

    def row(name: str) -> dict[str, Any]:
        ratios = [spent(one[name]) / spent(one[BASELINE]) for one in rounds]
        least = [spent(rate.floor(r[name].evaluations * one)) for rate, r in zip(rates, rounds, strict=True)]
        floors = [spent(r[name]) / floor for floor, r in zip(least, rounds, strict=True)]
        costs = asdict(middle([one[name] for one in rounds]))
        return {**costs, "ratio": median(ratios), "floors": median(floors), "floor": median(least)}

    return {
        "rows": {name: row(name) for name in runs},
        "flops_a_row": one,
        "matmul_rate": {"wall": median(r.wall for r in rates), "cpu": median(r.cpu for r in rates)},
        "repeats": repeats,
        "agreement": contestants.agreement(contest, plan),
    }
