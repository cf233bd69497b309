"""Inversion and replay on a small nonlinear network whose predictions are float32, as a real one's are."""

from math import exp, log, sqrt

import pytest
import torch
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode

from revpers_core.method.guidance import Interval, cfg, network_guidance, recorded_guidance
from revpers_core.method.schedule import sdxl_sigmas, sigmas, timesteps
from revpers_core.method.trajectory import REFERENCE, Need, SeededNoise, concatenate, invert, noise_maps, sample
from revpers_core.method.types import Plan

LEVELS = sigmas(timesteps(20, 0.5), sdxl_sigmas().__getitem__)
SHAPE = (3, 4, 6, 5)


class Toy:
    """Both branches of a network; ``identity`` moves the conditional one. Its arithmetic has the given precision."""

    def __init__(self, identity: float = 0.0, dtype: torch.dtype = torch.float32):
        random = torch.Generator().manual_seed(1)
        self.kernel = torch.randn(8, 4, 3, 3, generator=random).to(dtype) * 0.3
        self.words = torch.randn(4, 1, 1, generator=random).to(dtype) * 0.1
        self.face = torch.randn(4, 1, 1, generator=random).to(dtype) * identity
        self.calls = 0

    def __call__(self, x, sigma, need=Need.BOTH):
        self.calls += 1
        sigma = torch.as_tensor(sigma, dtype=torch.float64).to(self.kernel.dtype).reshape(-1, 1, 1, 1)
        seen = x.to(self.kernel) / (1 + sigma**2).sqrt()
        mixed = torch.tanh(torch.cat([conv2d(one[None], self.kernel, padding=1) for one in seen]))
        a, b = mixed.chunk(2, 1)
        x0 = seen / (1 + sigma**2).sqrt() + 0.3 * a * b
        result = x0, x0 + self.words * a + self.face * torch.sin(seen)
        return {Need.BOTH: result, Need.UNCOND: result[:1] * 2, Need.COND: result[1:] * 2}[need]


def photo(seed: int = 7, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inverted(x0=None, seed: int = 3, network=None, indices=None):
    x0 = photo() if x0 is None else x0
    return invert(network or Toy(), x0, LEVELS, SeededNoise(len(LEVELS) - 1, x0.shape, seed, indices))


def edited(path, guidance: float, network, **rest):
    return sample(network_guidance(network, guidance), path, recorded_guidance(guidance), **rest)


@pytest.mark.parametrize("guidance", [-10.0, 0.0, 1.0, 4.0])
def test_null_replay_gives_the_photo_back(guidance):
    path = inverted()
    assert (edited(path, guidance, Toy()) - path.x0).abs().max() < 1e-12


def test_a_stale_history_does_not():
    path = inverted()
    assert (edited(path, -10.0, Toy(), quirks=REFERENCE) - path.x0).abs().max() > 1e-3


def naive(network, other, x0, noise, guidance: float):
    """The paper's algorithm as published: an inversion per guidance with write-back, in variance-preserving space."""

    def at(sigma):
        return 1 / sqrt(1 + sigma**2), sigma / sqrt(1 + sigma**2)

    def denoised(net, x, sigma):
        uncond, cond = net(x / at(sigma)[0], sigma)
        return (1 - guidance) * uncond.double() + guidance * cond.double()

    def mean_std(x, d, past, before, sigma, after):
        (_, noise_s), (alpha_t, noise_t) = at(sigma), at(after)
        h = log(sigma) - log(after)
        if past is not None:
            r = (log(before) - log(sigma)) / h
            d = d + (1 / (2 * r)) * (d - past)
        drift = 1 - exp(-2 * h)
        return noise_t / noise_s * exp(-h) * x + alpha_t * drift * d, noise_t * sqrt(drift)

    x0, count = x0.double(), len(LEVELS) - 1
    path = [at(LEVELS[k])[0] * x0 + at(LEVELS[k])[1] * noise[k].double() for k in range(count)] + [x0]
    first, maps, past = path[0], [], None
    for k in range(count):
        d = denoised(network, path[k], LEVELS[k])
        mean, std = mean_std(path[k], d, past, LEVELS[k - 1], LEVELS[k], LEVELS[k + 1])
        maps.append((path[k + 1] - mean) / std)
        path[k + 1] = mean + std * maps[-1]
        past = d
    x, past = first, None
    for k in range(count):
        d = denoised(other, x, LEVELS[k])
        mean, std = mean_std(x, d, past, LEVELS[k - 1], LEVELS[k], LEVELS[k + 1])
        x, past = mean + std * maps[k], d
    return x


@pytest.mark.parametrize("guidance", [-10.0, -3.0, 0.0, 2.5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_any_guidance_from_one_trajectory_equals_a_fresh_inversion(guidance, dtype, tolerance):
    null, somebody = Toy(dtype=dtype), Toy(0.05, dtype)
    path = inverted(network=null)
    result = null.calls
    ours = edited(path, guidance, somebody)
    expected = naive(Toy(dtype=dtype), Toy(0.05, dtype), path.x0, path.noise, guidance)
    assert (ours - expected).abs().max() < tolerance * expected.abs().max()
    assert null.calls == result == len(LEVELS) - 1
    if guidance:
        assert (ours - path.x0).abs().max() > 1e-3  # somebody else indeed


def test_maps_depend_on_guidance():
    path = inverted()
    far, near = (torch.stack(list(noise_maps(path, recorded_guidance(g)))) for g in (-10.0, 0.0))
    assert (far - near).abs().max() > 0.1


def test_a_mask_confines_the_change():
    path = inverted()
    mask = torch.zeros(1, 1, *SHAPE[2:])
    mask[..., 2:4, 1:3] = 1
    result = edited(path, -10.0, Toy(0.05), mask=lambda sigma: mask)
    change = (result - path.x0).abs()
    inside = mask.bool().expand_as(change)
    assert change[~inside].max() < 1e-12
    assert change[inside].min() > 0 and change[inside].max() > 1e-2


def test_items_of_a_batch_do_not_touch_each_other():
    x0 = photo()
    whole = edited(inverted(x0), -10.0, Toy(0.05))
    for i in range(len(x0)):
        alone = edited(inverted(x0[i : i + 1], indices=[i]), -10.0, Toy(0.05))
        assert torch.equal(whole[i : i + 1], alone)


def test_noise_of_an_item_depends_on_seed_and_index_alone():
    noise = SeededNoise(4, SHAPE, 5)
    assert torch.equal(noise[2][1], SeededNoise(9, (1, *SHAPE[1:]), 5, [1])[2][0])
    same = [noise[2][0], noise[3][0], noise[2][2], SeededNoise(4, SHAPE, 6)[2][0]]
    assert all(not torch.equal(a, b) for i, a in enumerate(same) for b in same[:i])
    many = torch.stack(list(SeededNoise(50, (8, 4, 8, 8), 0)))
    assert abs(many.mean()) < 0.01 and abs(many.std() - 1) < 0.01
    with pytest.raises(IndexError):
        noise[4]
    with pytest.raises(ValueError, match="batch indices"):
        SeededNoise(4, SHAPE, 5, [0])


def test_steps_are_told():
    calls = []
    edited(inverted(), 0.0, Toy(), on_step=lambda k, x0, x: calls.append((k, x0.shape, x.shape)))
    assert calls == [(k, SHAPE, SHAPE) for k in range(len(LEVELS) - 1)]


def test_broken_inputs_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        inverted(photo() / 0 * 0)
    with pytest.raises(ValueError, match="noises of shape"):
        invert(Toy(), photo(), LEVELS, SeededNoise(3, SHAPE, 0))
    with pytest.raises(ValueError, match="noises of shape"):
        invert(Toy(), photo(), LEVELS, SeededNoise(len(LEVELS) - 1, (1, *SHAPE[1:]), 0))


@pytest.mark.parametrize("at_once", [2, 7, 20, 99])
def test_steps_may_share_a_call(at_once):
    x0, network = photo(), Toy(dtype=torch.float64)
    noise = SeededNoise(len(LEVELS) - 1, x0.shape, 3)
    together = invert(network, x0, LEVELS, noise, at_once=at_once)
    assert network.calls == -(-(len(LEVELS) - 1) // at_once)
    alone = invert(Toy(dtype=torch.float64), x0, LEVELS, noise)
    for a, b in zip((*together.uncond, *together.cond), (*alone.uncond, *alone.cond), strict=True):
        assert (a - b).abs().max() < 1e-14
    result = [edited(path, -10.0, Toy(0.05, torch.float64)) for path in (together, alone)]
    assert (result[0] - result[1]).abs().max() < 1e-11


def test_out_of_memory_takes_fewer_steps_at_once():
    class Small(Toy):
        def __call__(self, x, sigma, need=Need.BOTH):
            if len(x) > 5 * SHAPE[0]:
                raise torch.OutOfMemoryError
            return super().__call__(x, sigma, need)

    calls, network, x0 = [], Small(), photo()
    noise = SeededNoise(len(LEVELS) - 1, x0.shape, 3)
    path = invert(network, x0, LEVELS, noise, at_once=16, on_step=lambda k, cond, x: calls.append(k))
    assert calls == list(range(path.steps)) and network.calls == 5
    with pytest.raises(torch.OutOfMemoryError):
        invert(Small(), photo(shape=(16, *SHAPE[1:])), LEVELS, SeededNoise(20, (16, *SHAPE[1:]), 3), at_once=4)


@pytest.mark.parametrize(("guidance", "need"), [(0.0, Need.UNCOND), (1.0, Need.COND), (-3.0, Need.BOTH)])
def test_a_branch_without_weight_is_not_run(guidance, need):
    asked = []

    class Watched(Toy):
        def __call__(self, x, sigma, need=Need.BOTH):
            asked.append(need)
            return super().__call__(x, sigma, need)

    path = inverted()
    same = edited(path, guidance, Watched())
    assert set(asked) == {need} and len(asked) == path.steps
    assert (same - path.x0).abs().max() < 1e-12
    both = sample(lambda x, sigma: cfg(*Toy(0.05)(x, sigma), guidance), path, recorded_guidance(guidance))
    assert torch.equal(edited(path, guidance, Toy(0.05)), both)


def test_guidance_within_an_interval_runs_one_branch_elsewhere():
    middle, asked = Interval(LEVELS[12], LEVELS[6]), []

    class Watched(Toy):
        def __call__(self, x, sigma, need=Need.BOTH):
            asked.append(need)
            return super().__call__(x, sigma, need)

    x0, noise = photo(), SeededNoise(len(LEVELS) - 1, SHAPE, 3)
    need = Plan(interval=middle).inversion_needs
    path = invert(Watched(), x0, LEVELS, noise, at_once=5, need=need)
    assert sum(one is Need.BOTH for one in asked) == 2  # steps 6 to 9 and 10 to 12
    alone = invert(Toy(), x0, LEVELS, noise, need=need)
    for ours, expected, whole in zip(path.uncond, alone.uncond, inverted(x0).uncond, strict=True):
        assert torch.equal(ours, expected) and torch.equal(ours, whole)
    asked.clear()
    same = sample(network_guidance(Watched(), -10.0, middle), path, recorded_guidance(-10.0, middle))
    assert (same - x0).abs().max() < 1e-12
    assert [one is Need.BOTH for one in asked] == [6 <= k <= 12 for k in range(path.steps)]
    changed = sample(network_guidance(Toy(0.05), -10.0, middle), path, recorded_guidance(-10.0, middle))
    assert (changed - x0).abs().max() > 1e-2


def test_some_of_the_faces_are_the_same_faces():
    x0 = photo()
    whole = inverted(x0)
    parts = [whole.rows(slice(0, 2)), whole.rows(slice(2, 3))]
    assert torch.equal(parts[1].state(4), whole.state(4)[2:])
    again = concatenate(parts, whole.noise)
    assert again.chunk_size == 2 and torch.equal(again.x0, x0)
    for k in range(whole.steps):
        assert torch.equal(again.cond[k], whole.cond[k]) and torch.equal(again.uncond[k], whole.uncond[k])
        assert torch.equal(again.state(k), whole.state(k))


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: a tensor read as a number or a truth value."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device():
    def waits(count: int) -> int:
        levels, x0 = LEVELS[-count - 1 :], photo()
        with Waits() as seen:
            path = invert(Toy(), x0, levels, SeededNoise(count, SHAPE, 3))
            edited(path, -10.0, Toy(0.05))
        return seen.count

    assert waits(4) == waits(16) > 0
