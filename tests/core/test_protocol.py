"""FDeID-Toolbox's figures against plain loops over every threshold, and the page they are shown on."""

from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from revpers_core.audit import protocol as p
from revpers_core.audit.page import page, plot
from revpers_core.metrics.detection import average_precision, normalized_error
from revpers_core.metrics.verification import protection, roc, verify


def scores(seed=0, many=400, apart=0.3):
    random = np.random.default_rng(seed)
    same = random.random(many) < 0.5
    values = np.clip(random.normal(0.2, 0.2, many) + apart * same, -1, 0.99)
    return torch.tensor(values.round(3) + 0.0005), torch.tensor(same)  # between the thresholds


def plainly(values, same):
    """Accuracy, AUC, EER and TAR at 1% as the words say it: a loop over thresholds, a count over pairs."""
    values, same = values.numpy(), same.numpy()
    accuracy, at = max((((values >= t) == same).mean(), -t) for t in np.arange(-1, 1, 0.01))
    own, others = values[same], values[~same]
    auc = np.mean([(a > b) + 0.5 * (a == b) for a in own for b in others])
    points = [(0.0, 0.0)]
    for t in sorted(set(values), reverse=True):
        points.append(((others >= t).mean(), (own >= t).mean()))
    fpr, tpr = np.array(points).T
    k = int(np.argmin(np.abs(fpr - (1 - tpr))))
    return accuracy, -at, auc, (fpr[k] + 1 - tpr[k]) / 2, np.interp(0.01, fpr, tpr)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_verification_is_what_plain_loops_find(seed):
    values, same = scores(seed)
    found, (accuracy, threshold, auc, eer, tar) = verify(values, same), plainly(values, same)
    assert found.accuracy == pytest.approx(accuracy) and found.auc == pytest.approx(auc)
    assert found.threshold == pytest.approx(threshold, abs=1e-9)  # the lowest of the best
    assert found.eer == pytest.approx(eer) and found.tar[0] == pytest.approx(tar, abs=1e-9)
    assert found.tar[2] is None and (found.pairs, found.same) == (400, int(same.sum()))


def test_verification_at_its_ends():
    same = torch.tensor([True] * 200 + [False] * 200)
    apart = torch.where(same, 0.9, -0.9) + torch.linspace(0, 0.01, 400)
    found = verify(apart, same)
    assert (found.accuracy, found.auc, found.eer, found.tar[0]) == (1, 1, 0, 1)
    found = verify(-apart, same)
    assert (found.auc, found.eer, found.tar[0]) == (0, 1, 0) and found.accuracy == 0.5
    chance = verify(torch.zeros(400), same)
    assert (chance.auc, chance.tar[0]) == (0.5, pytest.approx(0.01))
    with pytest.raises(ValueError, match="of one person and of two"):
        verify(torch.zeros(3), torch.ones(3, dtype=torch.bool))


def test_a_roc_has_a_point_a_value():
    fpr, tpr = roc(torch.tensor([0.9, 0.5, 0.5, 0.1]), torch.tensor([True, True, False, False]))
    assert fpr.tolist() == [0, 0, 0.5, 1] and tpr.tolist() == [0, 0.5, 1, 1]


def test_protection_counts_who_was_known_and_is_not_any_more():
    before, after = torch.tensor([0.9, 0.9, 0.1, 0.8]), torch.tensor([0.1, 0.7, 0.0, 0.5])
    assert protection(before, after, 0.5) == 0.25


def test_average_precision_by_hand():
    """Three faces; the detector is right, wrong, right: precision 1 up to 1/3, 2/3 up to 2/3."""
    found = average_precision(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([True, False, True]), 3)
    assert found == pytest.approx(1 / 3 + (2 / 3) / 3)
    assert average_precision(torch.tensor([0.3]), torch.tensor([True]), 1) == 1


def test_landmark_error_in_eye_distances():
    points = torch.tensor([[[0.0, 0], [10, 0], [5, 5], [2, 8], [8, 8]]])
    assert normalized_error(points + torch.tensor([3.0, 4.0]), points).item() == pytest.approx(0.5)


def faces(people=30, photos=3, kept=0.0, seed=0, group=("a", "b")):
    """People of unit vectors, several photos each; results keep a share of the person."""
    random = torch.Generator().manual_seed(seed)
    identities = torch.randn(people, 512, generator=random).repeat_interleave(photos, 0)
    before = identities + 0.4 * torch.randn(people * photos, 512, generator=random)
    after = kept * identities + torch.randn(people * photos, 512, generator=random)
    names = [f"p{k}" for k in range(people) for _ in range(photos)]
    judge = p.JudgeFaces("j", "cosine", 0.4, before.half(), after.half())
    nme = torch.linspace(0, 1, people * photos)
    return p.FacesSeen(names, [group[k % 2] for k in range(people * photos)], {"nme": nme}, [judge], [(0.9, True)] * 9)


def test_pairs_are_half_of_one_person_and_never_twice():
    names = faces().persons
    pairs = p.draw_pairs(names, 120)
    assert len(pairs.same) == 120 and int(pairs.same.sum()) == 60
    assert all((names[i] == names[j]) == bool(s) and i != j for i, j, s in zip(*pairs, strict=True))
    assert len({frozenset((int(i), int(j))) for i, j in zip(pairs.i, pairs.j, strict=True)}) == 120
    assert torch.equal(p.draw_pairs(names, 120).i, pairs.i)
    alone = p.draw_pairs([""] * 20, 50)
    assert len(alone.same) == 25 * 2 and not alone.same.any()
    assert len(p.draw_pairs(["x"], 10).same) == 0


def test_what_is_hidden_and_what_is_not():
    for kept, known, psr, auc in ((0.0, (0, 0.02), (0.95, 1), (0.4, 0.6)), (3.0, (0.98, 1), (0, 0.1), (0.98, 1))):
        seen = faces(kept=kept)
        report = p.protocol(seen, p.draw_pairs(seen.persons, 120))
        one = report["judges"]["j"]
        assert known[0] <= one["known"]["value"] <= known[1] and psr[0] <= one["toolbox"]["psr"] <= psr[1]
        assert auc[0] <= one["attack"]["auc"] <= auc[1] and one["toolbox"]["original"]["auc"] > 0.99
        assert one["share_above_0.9"]["value"] < 0.9 and report["utility"]["nme"] == pytest.approx(0.5, abs=1e-3)
        assert report["utility"]["detection AP at IoU 0.5"] == pytest.approx(0.1)
        assert set(report["groups"]) == {"a", "b"} and report["groups"]["a"]["faces"] == 45
        assert "shapes" in one and "shapes" not in report["groups"]["a"]["judges"]["j"]


def test_an_embedding_that_is_not_finite_counts_as_known():
    seen = faces()
    seen.judges[0].after[0] = float("nan")
    report = p.protocol(seen, p.draw_pairs(seen.persons, 120))
    assert report["judges"]["j"]["known"]["value"] == pytest.approx(1 / 90, abs=1e-3)


def test_the_page_needs_nothing_from_elsewhere_and_escapes_names():
    seen = faces(group=("<script>", "b"))
    report = p.protocol(seen, p.draw_pairs(seen.persons, 120)) | {"about": "x & y", "problems": {"<b>": 2}}
    whole = page(report)
    tags: list[tuple[str, dict]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append((tag, dict(attrs)))

    Reader().feed(whole)
    assert not any(tag in ("script", "link", "img", "iframe", "b") for tag, _ in tags)
    assert not any(key in ("src", "href", "xlink:href") for _, attrs in tags for key in attrs) and "http" not in whole
    assert sum(tag == "svg" for tag, _ in tags) == 2 and "&lt;script&gt;" in whole and "x &amp; y" in whole


def test_a_plot_puts_points_where_they_belong():
    drawn = plot({"a": [(0, 0), (1, 1)]}, (0, 1), (0, 1), "x", "y")
    assert 'points="36.0,204.0 384.0,36.0"' in drawn
