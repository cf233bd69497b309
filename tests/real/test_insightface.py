"""Our decoding of InsightFace's detectors against the insightface package's own."""

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from revpers_core.faces import detect
from revpers_core.faces.insightface import of_model


def random_heads(path: Path, side: int, seed: int) -> Path:
    """A file of det_10g's form whose heads are random, with ten faces that score over a half."""
    draw, names, constants = np.random.default_rng(seed), [], {}
    for kind, width in (("score", 1), ("box", 4), ("point", 10)):
        for stride in (8, 16, 32):
            n = (side // stride) ** 2 * 2
            array = draw.uniform(0, 0.29, (n, 1)) if kind == "score" else draw.normal(0, 1.5, (n, width))
            if kind == "score":
                array[draw.choice(n, 10, replace=False)] = draw.uniform(0.5, 1, (10, 1))
            constants[f"{kind}{stride}"] = np.abs(array) + 0.1 if kind == "box" else array
            names.append(f"{kind}{stride}")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["c" + name], [name]) for name in names],
        "g",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(constants[name].shape)) for name in names],
        [numpy_helper.from_array(constants[name].astype(np.float32), "c" + name) for name in names],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_faces_as_insightface(seed: int, insightface: ModuleType, tmp_path: Path) -> None:
    path = random_heads(tmp_path / "det_10g.onnx", 640, seed)
    model = insightface.model_zoo.retinaface.RetinaFace(str(path))
    model.prepare(-1, det_thresh=0.3, input_size=(640, 640))
    image = torch.rand(3, 640, 640)
    ours, expected = detect.load(path, "cpu")(image), of_model(model)(image)
    assert len(ours) == len(expected) > 10
    for a, b in zip(ours, expected, strict=True):
        assert a.box == pytest.approx(b.box, abs=1e-3) and a.score == pytest.approx(b.score)
        assert torch.allclose(a.points, b.points, atol=1e-3)
