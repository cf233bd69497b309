"""Metrics against figures that can be worked out by hand."""

import math

import pytest
import torch

from revpers_core.audit.feature_networks import feature_network, perceptual_network
from revpers_core.media import gallery
from revpers_core.metrics.change import change
from revpers_core.metrics.frechet import frechet
from revpers_core.metrics.gaze import gaze, gaze_distance
from revpers_core.metrics.interval import bootstrap, wilson
from revpers_core.metrics.landmarks import expression_distance, mouth, pose, pose_distance
from revpers_core.metrics.reidentification import (
    at_rank,
    auc,
    fnir_at_fpir,
    ranks,
    ranks_among,
    tar_at_far,
    threshold_at_far,
    verification,
)
from revpers_core.metrics.ssim import ssim


def test_auc_counts_pairs() -> None:
    assert auc(torch.tensor([0.9, 0.2]), torch.tensor([0.5, 0.1])) == 0.75
    assert auc(torch.tensor([0.5]), torch.tensor([0.5, 0.5])) == 0.5
    assert auc(torch.tensor([-1.0]), torch.tensor([0.0, 1.0])) == 0.0
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, generator=draw) + 1, torch.randn(500, generator=draw)
    assert auc(a, b) == pytest.approx(float((a[:, None] > b).double().mean()))


def test_true_accepts_at_a_false_accept_rate() -> None:
    impostor = torch.arange(1000) / 1000
    assert threshold_at_far(impostor, 1e-2) == pytest.approx(0.989)
    assert tar_at_far(torch.tensor([0.5, 0.99, 0.995, 1.5]), impostor, 1e-2) == wilson(3, 4)
    with pytest.raises(ValueError, match="at least 1000"):
        threshold_at_far(torch.zeros(10), 1e-3)


def test_ranks_count_who_is_more_alike() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.1, 0.2], [0.5, 0.5, 0.5]])
    assert ranks(similarity, torch.tensor([0, 1, 2])).tolist() == [1, 3, 1]


def test_wilson_is_the_textbooks() -> None:
    low, high = wilson(8, 10)[1:]
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert wilson(0, 20).low == 0.0 and wilson(0, 20).high == pytest.approx(0.161, abs=1e-3)
    assert math.isnan(wilson(0, 0).value)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    draw = torch.Generator().manual_seed(3)
    covered = 0
    for trial in range(100):
        sample = torch.randn(60, generator=draw) + 2
        found = bootstrap(lambda i, sample=sample: float(sample[i].mean()), 60, draws=300, seed=trial)
        covered += found.low <= 2 <= found.high
    assert 85 <= covered <= 99


def test_ranks_count_a_missed_face_as_found() -> None:
    found = torch.tensor([1, 2, 6, math.nan])
    assert at_rank(found, 1).value == 0.5 and at_rank(found, 5).value == 0.75
    assert at_rank(torch.tensor([3.0, 9.0]), 1) == wilson(0, 2)


def test_open_set_search_misses_who_is_not_first_above_the_threshold() -> None:
    strangers = torch.tensor([[0.1, 0.3], [0.2, 0.1], [0.4, 0.0], [0.5, 0.5]])  # tops .3 .2 .4 .5
    mated = torch.tensor([[0.9, 0.0], [0.45, 0.0], [0.6, 0.7], [0.1, 0.35]])
    same = torch.tensor([[1, 0], [1, 0], [1, 0], [0, 1]]) > 0
    assert fnir_at_fpir(mated, same, strangers, 0.25) == wilson(2, 4)  # above .4: the third is second, the fourth below
    assert fnir_at_fpir(mated, same, strangers, 0.75) == wilson(1, 4)
    with pytest.raises(ValueError, match="at least 10"):
        fnir_at_fpir(mated, same, strangers, 0.1)


def test_a_face_that_was_missed_never_helps_privacy() -> None:
    """In every rate: on the mated side it is the attacker's success, on the strangers' side it is left out."""
    mated, strangers = torch.tensor([0.1, math.nan]), torch.tensor([0.2, 0.3, math.nan, 0.4])
    assert auc(mated, strangers) == 0.5 and auc(mated[1:], strangers) == 1
    assert threshold_at_far(strangers, 0.34) == pytest.approx(0.3)
    assert tar_at_far(mated, strangers, 0.34) == wilson(1, 2)
    table = torch.tensor([[0.1, 0.5], [math.nan, math.nan]])
    own = torch.eye(2) > 0
    assert ranks(table, torch.arange(2)).tolist() == ranks_among(table, own).tolist() == [2, 1]
    searches = torch.tensor([[0.2, 0.1], [math.nan, math.nan], [0.3, 0.1]])
    assert fnir_at_fpir(table, own, searches, 0.5) == wilson(1, 2)


def test_the_best_of_a_persons_entries_counts() -> None:
    table = torch.tensor([[0.1, 0.9, 0.5], [0.6, 0.2, 0.5], [0.3, 0.3, 0.2]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]) > 0
    assert ranks_among(table, same).tolist() == [1, 1, 3]
    assert verification(table, same).value == pytest.approx(
        auc(torch.tensor([0.1, 0.9, 0.6, 0.2, 0.2]), torch.tensor([0.5, 0.5, 0.3, 0.3]))
    )


def test_verifications_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Unequal people on both sides: .76 is the AUC of two unit normals one apart."""
    draw = torch.Generator().manual_seed(5)
    covered, narrow = 0, 0
    for _ in range(60):
        probe, entry = torch.randn(40, 1, generator=draw), torch.randn(1, 40, generator=draw)
        noise = torch.randn(40, 40, generator=draw)
        table = (probe + entry + noise) / math.sqrt(3) + torch.eye(40)
        found = verification(table, torch.eye(40) > 0, draws=200)
        covered += found.low <= 0.7602 <= found.high
        narrow += found.high - found.low < 0.35
    assert 52 <= covered <= 60 and narrow == 60


def noisy(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_ssim_is_wangs() -> None:
    flat = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    c1 = 0.01**2
    assert float(ssim(*flat)) == pytest.approx((2 * 0.2 * 0.6 + c1) / (0.2**2 + 0.6**2 + c1), abs=1e-6)
    a = noisy((2, 3, 40, 30), 0)
    assert ssim(a, a).tolist() == pytest.approx([1, 1])
    b = (a + 0.3 * noisy((2, 3, 40, 30), 1)).clamp(0, 1)
    skimage = pytest.importorskip("skimage.metrics")
    for one, two, value in zip(a, b, ssim(a, b).tolist(), strict=True):
        expected = skimage.structural_similarity(
            one.numpy(), two.numpy(), channel_axis=0, data_range=1, gaussian_weights=True, use_sample_covariance=False
        )
        assert value == pytest.approx(expected, abs=2e-4)


def test_what_is_masked_does_not_count() -> None:
    a = noisy((1, 3, 32, 64), 0)
    b = a.clone()
    b[..., :20] = 0
    right = torch.zeros(1, 1, 32, 64)
    right[..., 20:] = 1
    assert float(ssim(a, b, right)) == pytest.approx(1) and float(ssim(a, b)) < 0.9
    assert float(change(b, a, right)) == 0
    assert float(change(b, a)) == pytest.approx(float(a[..., :20].sum() / a.numel()))
    assert math.isnan(float(change(b, a, right * 0)))
    with pytest.raises(ValueError, match="sizes differ"):
        change(a, a[..., 1:])
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(a[..., :10], a[..., :10])


def test_frechet_of_known_gaussians() -> None:
    """Between axis-aligned Gaussians: |m1 - m2|^2 + sum (s1 - s2)^2."""
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(40_000, 3, generator=draw) * torch.tensor([1.0, 2.0, 3.0])
    b = torch.randn(40_000, 3, generator=draw) * torch.tensor([2.0, 2.0, 1.0]) + torch.tensor([1.0, 0.0, -1.0])
    assert frechet(a, b) == pytest.approx(2 + 1 + 4, rel=0.03)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, a + 5) == pytest.approx(75, rel=1e-6)
    with pytest.raises(ValueError, match="2 or more"):
        frechet(a[:1], b)


def test_five_points_tell_the_pose_of_rendered_heads() -> None:
    """The world counts pitch and roll the other way round."""
    everyone = [gallery.photo(person, number) for person in range(gallery.people()) for number in range(4)]
    seen = pose(torch.stack([photo.face.points for photo in everyone]))
    for k, (name, sign, most, least) in enumerate(
        [("yaw", 1, 6.0, 0.97), ("pitch", -1, 11.0, 0.6), ("roll", -1, 4.5, 0.6)]
    ):
        truth = sign * torch.tensor([photo.factors[name] for photo in everyone], dtype=torch.float64)
        assert (seen[:, k] - truth).square().mean().sqrt() < most
        assert torch.corrcoef(torch.stack([seen[:, k], truth]))[0, 1] > least


def test_dark_eyes_tell_where_rendered_faces_look() -> None:
    """Without glasses, from the front."""
    everyone = [gallery.photo(person, number) for person in range(gallery.people()) for number in range(4)]
    plain = [photo for photo in everyone if not photo.words["glasses"] and abs(photo.factors["yaw"]) < 20]
    images, points = (torch.stack(part) for part in zip(*((p.pixels, p.face.points) for p in plain), strict=True))
    true = torch.tensor([photo.factors["gaze_x"] for photo in plain], dtype=torch.float64)
    seen = gaze(images, points)
    assert torch.corrcoef(torch.stack([seen[:, 0].double(), true]))[0, 1] > 0.45
    mirrored = points * torch.tensor([-1.0, 1.0]) + torch.tensor([images.shape[-1] - 1.0, 0.0])
    assert (gaze(images.flip(3), mirrored[:, [1, 0, 2, 4, 3]])[:, 0] + seen[:, 0]).abs().max() < 1e-3
    assert gaze_distance(images, points, images, points).max() == 0


def test_gaze_follows_a_pupil() -> None:
    """Eyes 20 pixels apart; both pupils move a pixel to either side."""
    points = torch.tensor([[[22.0, 32], [42, 32], [32, 44], [25, 52], [39, 52]]])

    def eyes(shift: int) -> torch.Tensor:
        image = torch.full((1, 3, 64, 64), 0.9)
        for x in (22, 42):
            image[..., 31:34, x - 1 + shift : x + 2 + shift] = 0.1
        return image

    found = gaze(torch.cat([eyes(0), eyes(1), eyes(-1)]), points.expand(3, -1, -1))
    assert found[0].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert found[1, 0] > 0.03 and found[2, 0] == pytest.approx(-float(found[1, 0]), abs=1e-3)
    assert float(gaze_distance(eyes(0), points, eyes(1), points)) == pytest.approx(float(found[1, 0]), abs=1e-3)


def test_distances_of_points() -> None:
    points = torch.tensor([[[0.0, 0], [10, 0], [5, 6], [1, 10], [9, 10]]])
    a = math.radians(30)
    turn = torch.tensor([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    rolled, larger = points @ turn.T, points * 7 + 3
    assert float(pose(rolled)[0, 2] - pose(points)[0, 2]) == pytest.approx(30, abs=1e-3)
    assert float(pose_distance(points, rolled)) == pytest.approx(10, abs=1e-3)
    assert float(pose_distance(points, larger)) == pytest.approx(0, abs=1e-4)
    assert mouth(points).tolist() == [pytest.approx([0.8, 0.4])]
    assert float(expression_distance(points, rolled)) == pytest.approx(0, abs=1e-6)
    smiling = points + torch.tensor([[0.0, 0], [0, 0], [0, 0], [-1, -1], [1, -1]])
    assert float(expression_distance(points, smiling)) == pytest.approx(math.hypot(0.2, 0.1))


def test_backbones_are_the_users_files(tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT

    def write(name: str, nodes: list[tuple[str, list[str], str]], inputs: list[str]) -> str:
        """A graph of (operation, inputs, output); the last output is y."""
        entries = [helper.make_tensor_value_info(one, kind, ["N", 3, 8, 8]) for one in inputs]
        rest = {"ReduceMean": {"axes": [1, 2, 3]}}
        nodes = [helper.make_node(op, entry, [exit], **rest.get(op, {})) for op, entry, exit in nodes]
        graph = helper.make_graph(nodes, "g", entries, [helper.make_tensor_value_info("y", kind, None)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, str(tmp_path / name))
        return str(tmp_path / name)

    a, b = noisy((2, 3, 16, 16), 0), torch.full((2, 3, 16, 16), 0.5)
    pooled = write("mean.onnx", [("ReduceMean", ["x"], "y")], ["x"])
    assert feature_network(pooled)(b).flatten().tolist() == pytest.approx([0.5, 0.5])
    steps = [("Sub", ["x", "z"], "d"), ("Abs", ["d"], "e"), ("ReduceMean", ["e"], "y")]
    distance = write("lpips.onnx", steps, ["x", "z"])
    assert perceptual_network(distance)(b, b * 0).flatten().tolist() == pytest.approx([1.0, 1.0])
    assert perceptual_network(distance)(a, a).tolist() == [0, 0]
    with pytest.raises(ValueError, match="no feature network"):
        feature_network(distance)
    with pytest.raises(ValueError, match="no perceptual distance"):
        perceptual_network(pooled)
