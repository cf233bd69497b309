"""What stand-ins do, measured: a run that was stopped goes on, and what it has finished is there to read."""

import json
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

from revpers_core.cli import stand_ins as command
from revpers_core.lab import stand_ins
from revpers_core.lab.stand_ins import A_STRANGER, NOBODY_CAME, Releases, at_equal_preservation
from revpers_core.method.types import Identity, Plan
from revpers_core.metrics.interval import Estimate

COUNT = 30
"""People: more than go through the network at once."""


@pytest.fixture
def releases(tmp_path, monkeypatch):
    """Results that say what they were made of: photo, noise seed, guidance and whether anybody came instead."""
    photos, calls = torch.rand(2, COUNT, 3, 4, 4), {"invert": 0, "sample": 0}

    def invert(ports, latents, plan):
        calls["invert"] += 1
        return SimpleNamespace(x0=latents, seed=plan.seed)

    def sample(path, identity, ports, plan, instead=None):
        calls["sample"] += 1
        person = 0.0 if instead is None else float(instead.embedding[0, 0])
        return path.x0 + path.seed + plan.guidance + person

    monkeypatch.setattr(stand_ins, "invert_latents", invert)
    monkeypatch.setattr(stand_ins, "sample_image", sample)

    def start(people=None, **changes):
        crowd = SimpleNamespace(photos=photos[0], gallery=photos[1], count=COUNT) if people is None else people
        return Releases(crowd, ports, Plan(4, 0.5, -4.0), **{"folder": tmp_path / "parts", **changes})

    embedding = torch.nn.functional.normalize(torch.randn(COUNT, 512), dim=1)
    ports = SimpleNamespace(encode=lambda one: one, embed=lambda one: Identity(embedding[: len(one)]))
    return SimpleNamespace(start=start, calls=calls, folder=tmp_path / "parts", photos=photos)


def test_each_result_is_sampled_once_and_each_photo_inverted_once_a_noise_seed(releases):
    one = releases.start()
    first = one(0, 1, None)
    assert torch.equal(first, releases.photos[0] + 1 - 4)
    assert torch.equal(one(0, 1, None, -4.0), first) and releases.calls == {"invert": 2, "sample": 2}
    assert torch.equal(one(0, 1, None, -6.0), releases.photos[0] + 1 - 6)
    assert not torch.equal(one(0, 1, 1), first) and not torch.equal(one(0, 1, 2), one(0, 1, 1))
    assert releases.calls == {"invert": 2, "sample": 8}
    assert torch.equal(one(1, 2, None), releases.photos[1] + 2 - 4)
    assert releases.calls == {"invert": 4, "sample": 10}


def test_a_run_that_was_stopped_goes_on_and_other_photos_or_plans_begin_anew(releases):
    first = releases.start()(0, 1, 1)
    before = dict(releases.calls)
    (releases.folder / "half.part").write_bytes(b"stopped while it wrote")
    assert torch.equal(releases.start()(0, 1, 1), first) and releases.calls == before
    others = SimpleNamespace(photos=releases.photos[0] + 1, gallery=releases.photos[1], count=COUNT)
    assert torch.equal(releases.start(others)(0, 1, None), others.photos + 1 - 4)
    assert releases.calls != before
    before = dict(releases.calls)
    releases.start(folder=None)(0, 1, 1)
    assert releases.calls != before, "without a folder nothing is kept"


def row(question, guidance, kept, auc):
    def near(value):
        return Estimate(value, value - 0.1, value + 0.1)

    return {
        "instead": question, "guidance": guidance, "judge": "a judge", "kept": near(kept), "auc": near(auc),
        "rank1": near(auc / 2), "r_smile": near(kept), "r_open": near(kept), "r_gaze_x": near(kept),
        "r_pitch": near(kept),
    }  # fmt: skip


PRIVACY = [
    row(NOBODY_CAME, -2.0, 0.9, 0.9),
    row(A_STRANGER, -2.0, 0.8, 0.8),
    row(NOBODY_CAME, -4.0, 0.75, 0.7),
    row(A_STRANGER, -4.0, 0.6, 0.6),
    row(NOBODY_CAME, -6.0, 0.5, 0.5),
]


def test_a_stranger_is_compared_where_as_much_stays_and_nowhere_beyond_what_was_measured():
    """At .75 kept, a quarter of the way from .8 to .6: AUC .75 where nobody in particular gives .7."""
    (equal,) = at_equal_preservation(PRIVACY)
    assert equal["kept"] == 0.75 and equal["guidance"] == -4.0 and equal["stranger's guidance"] == pytest.approx(-2.5)
    assert equal["auc"].value == 0.7
    assert list(equal[f"auc, {A_STRANGER}"]) == pytest.approx([0.75, 0.65, 0.85])
    assert equal[f"rank1, {A_STRANGER}"].value == pytest.approx(0.375)
    assert at_equal_preservation([one | {"judge": i} for i, one in enumerate(PRIVACY)]) == [], "one judge at a time"


def test_finished_parts_are_there_to_read_when_a_run_is_stopped(tmp_path, monkeypatch):
    def stopped(*_):
        yield {"question": "two photos", "judge": "a judge", "auc": Estimate(0.5, 0.4, 0.6)}
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "pipeline", lambda *_: None)
    monkeypatch.setattr(command.lab_options, "judges", lambda args: {})
    monkeypatch.setattr(command, "clashes", lambda _: {"pairs taken for one person": Estimate(0.0, 0.0, 0.02)})
    monkeypatch.setattr(command, "privacy", lambda *_: iter(PRIVACY))
    monkeypatch.setattr(command, "links", stopped)
    (tmp_path / "attacks.md").write_text("# Attacks\n\n## Others\n\nstay\n\n## Who comes instead\n\nold\n")
    args = Namespace(world="gallery", judge=None, people=3, steps=4, skip=0.5, guidance=-4.0, output=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        command._run(args)
    page = (tmp_path / "attacks.md").read_text()
    assert page.startswith("# Attacks\n\n## Others\n\nstay\n\n## Who comes instead\n") and "old" not in page
    assert "| a stranger | -4 | a judge | 0.60 (0.50 to 0.70) |" in page
    assert "| a judge | 0.75 | -4.00 | -2.50 | 0.70 (0.60 to 0.80) | 0.75 (0.65 to 0.85) |" in page
    assert "Two results of one person" not in page
    parts = [one["part"] for one in json.loads((tmp_path / "stand_ins.json").read_text())["rows"]]
    assert parts == ["clashes"] + ["privacy"] * 5 + ["equal"]
