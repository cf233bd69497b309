"""Descriptions of judges: whose threshold is taken for whose network, and in which form pixels reach it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from revpers_core.cli.main import main
from revpers_core.faces.geometry import face_in_aligned
from revpers_core.faces.judge_spec import JudgeSpec, load_first_judge, load_judge, measure_threshold, read, write
from revpers_core.faces.judges import cosine, negative_distance
from revpers_core.media import images
from revpers_core.media.verdict import verdict

onnx = pytest.importorskip("onnx")
TOLD: dict[str, Any] = {"threshold": 0.4, "floor": -0.1, "source": "100 people"}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Mean of each channel, 3 numbers, of pictures of 64 pixels; a second output in front, as some exports have."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["z"], axes=[1, 2], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name in ("z", "y")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, ["N", 3, 64, 64])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "net.onnx"))
    return tmp_path / "net.onnx"


def described(network: Path, **more: Any) -> Path:
    path = network.with_suffix(".json")
    path.write_text(json.dumps({"file": network.name, "size": 64, "output": "y", **TOLD, **more}))
    return path


def coloured(r: float, g: float, b: float) -> torch.Tensor:
    return torch.tensor([r, g, b])[:, None, None].expand(3, 128, 128).clone()


def seen(judge: Any, image: torch.Tensor) -> list[float]:
    return judge.embed(image, face_in_aligned(image)).tolist()


def test_pixels_arrive_in_the_form_that_is_described(network: Path) -> None:
    image = coloured(1.0, 0.5, 0.0)
    described(network, mean=0, std=255)
    assert seen(load_judge(network), image) == pytest.approx([1, 0.5, 0], abs=1e-6)
    described(network, mean=0, std=255, channels="BGR")
    assert seen(load_judge(network), image) == pytest.approx([0, 0.5, 1], abs=1e-6)
    path = described(network, mean=[255, 0, 0], std=[255, 127.5, 1])
    assert seen(load_judge(path), image) == pytest.approx([0, 1, 0], abs=1e-6)
    assert load_judge(path).rule.likeness is cosine and load_judge(path).rule.threshold == 0.4


def test_distances_are_described_as_such(network: Path) -> None:
    described(network, metric="euclid", threshold=1.1, floor=1.5)
    rule = load_judge(network).rule
    assert (rule.likeness, rule.threshold, rule.floor) == (negative_distance, -1.1, -1.5)
    with pytest.raises(ValueError, match="floor"):
        load_judge(described(network, metric="euclid", threshold=1.1, floor=0.9))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threshold": 31.3}, "between -1 and 1"),
        ({"threshold": math.nan}, "between -1 and 1"),
        ({"floor": 0.5}, "floor must be below"),
        ({"source": ""}, "needs a source"),
        ({"metric": "dot"}, "metric must be"),
        ({"channels": "GBR"}, "RGB or BGR"),
        ({"size": 112}, r"not \(N, 3, 112, 112\)"),
        ({"output": "q"}, "no output 'q'"),
        ({"mean": [1, 2]}, "one number or three"),
        ({"std": 0}, "no embedding"),
        ({"limit": 3}, "no description"),
        ({"file": "gone.onnx"}, "gone.onnx"),
    ],
)
def test_wrong_descriptions_are_refused(network: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_judge(described(network, **wrong))


def test_a_threshold_that_nobody_measured_vouches_for_nobody(network: Path) -> None:
    path = described(network, threshold=None, floor=None)
    judge = load_judge(path)
    assert not judge.rule.measured and not judge.rule.vouches
    assert verdict([judge]) == "unverified: the judge's threshold was not measured"
    with pytest.raises(ValueError, match="must give threshold"):
        load_judge(described(network, threshold=None, metric="euclid"))
    with pytest.raises(ValueError, match="no ArcFace recogniser"):
        path.unlink()
        load_judge(network)


def test_a_pack_is_searched_for_who_is_described(network: Path, tmp_path: Path) -> None:
    other = tmp_path / "a.onnx"
    other.write_bytes(b"")
    described(network)
    assert load_first_judge([other, network]).name == "net"


def test_thresholds_are_measured_on_strangers(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    people = torch.randn(60, 16, generator=draw)
    photos = [[one + 0.2 * torch.randn(16, generator=draw) for _ in range(2)] for one in people]
    found = measure_threshold(JudgeSpec("net.onnx"), photos)
    strangers = [cosine(a, b) for i, p in enumerate(photos) for q in photos[:i] for a in p for b in q]
    above = sum(value > found.threshold for value in strangers) / len(strangers)
    below = sum(value < found.floor for value in strangers) / len(strangers)
    assert 0.0003 < above <= 0.00101 and 0.008 < below < 0.012
    assert "7080 pairs of strangers, 60 people" in found.source and found.rule.measured
    far = measure_threshold(JudgeSpec("net.onnx", metric="euclid"), photos)
    assert far.floor > far.threshold > 0 and far.rule.threshold == -far.threshold
    write(found, tmp_path / "net.json")
    assert read(tmp_path / "net.json") == found
    with pytest.raises(ValueError, match="at least 1000"):
        measure_threshold(JudgeSpec("net.onnx"), photos[:10])
    with pytest.raises(ValueError, match="NaN"):
        measure_threshold(JudgeSpec("net.onnx"), [[torch.full((3,), math.nan)], [torch.ones(3)]])


def test_the_command_writes_the_description_beside_the_file(network: Path, tmp_path: Path, capsys) -> None:
    draw = torch.Generator().manual_seed(0)
    for person in range(46):
        home = tmp_path / "people" / f"{person:02}"
        home.mkdir(parents=True)
        image = coloured(*torch.rand(3, generator=draw).tolist())
        images.write_png(images.to_pil(image), home / "a.png")
    form = ["--size", "64", "--embedding", "y", "--channels", "BGR", "--mean", "127.5", "127.5", "127.5", "--crops"]
    call = ["judge", str(network), "--people", str(tmp_path / "people"), *form]
    assert main(call) == 0
    assert "1035 pairs of strangers, 46 people" in capsys.readouterr().out
    judge = load_judge(network)
    assert judge.rule.measured and judge.model.channels == "BGR" and -1 < judge.rule.floor < judge.rule.threshold < 1
    assert main([*call[:3], str(tmp_path / "nowhere"), *form]) == 1
