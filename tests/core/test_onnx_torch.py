"""ONNX networks in torch against onnxruntime: every operator, whole networks, their speed; and files that lie."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx_graphs import iresnet, model, scrfd
from timing import fastest

from revpers_core import pocket
from revpers_core.faces import detect, recognise
from revpers_core.faces.centerface import free_sizes
from revpers_core.faces.onnx_file import Unsupported, read_graph
from revpers_core.faces.onnx_operators import OPERATORS
from revpers_core.faces.onnx_session import ONNXRUNTIME, open_network
from revpers_core.faces.onnx_torch import TorchGraph, TorchNetwork

CLOSE = 1e-4
POCKET = (pocket.FACE_MODEL, pocket.JUDGE, pocket.FACTORS, pocket.DETECTOR)


@pytest.fixture(scope="module")
def ort() -> Any:
    return pytest.importorskip("onnxruntime", reason="NOT COMPARED WITH ONNXRUNTIME, which is not installed")


def ours(content: bytes, feeds: dict[str, Any]) -> list[Any]:
    graph = read_graph(content)
    return TorchNetwork("net", graph.inputs, graph.outputs, TorchGraph(graph), lambda: None).run(None, feeds)


def onnxruntime_network(ort: Any, content: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads, options.inter_op_num_threads = 3, 1, 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def difference(a: Any, b: Any) -> float:
    """Largest, relative to the largest value."""
    assert a.shape == b.shape
    if not a.size:
        return 0.0
    return float(np.abs(a.astype(float) - b.astype(float)).max() / max(1e-6, float(np.abs(b).max())))


def assert_equal(ort: Any, content: bytes, feeds: dict[str, Any], close: float = CLOSE) -> None:
    wanted = onnxruntime_network(ort, content).run(None, feeds)
    for a, b in zip(ours(content, feeds), wanted, strict=True):
        assert difference(a, b) < close


def rand(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


X, SQUARE = rand(2, 4, 9, 7), rand(2, 4, 8, 8)
NOTHING = np.array([], np.float32)
# operator, opset, inputs (the first is fed, the others are weights), attributes, and outputs where it is not one
CASES: list[tuple[str, int, list[Any], dict[str, Any], int]] = [
    ("Conv", 11, [X, rand(6, 4, 3, 3), rand(6)], {"pads": [1, 0, 2, 1], "strides": [2, 1]}, 1),
    ("Conv", 11, [X, rand(6, 2, 3, 3)], {"group": 2, "dilations": [2, 2], "pads": [2, 2, 2, 2]}, 1),
    ("Conv", 11, [X, rand(6, 4, 3, 2)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 1),
    ("Conv", 11, [X, rand(6, 4, 3, 2)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, 1),
    ("Conv", 11, [X, rand(6, 4, 3, 2)], {"auto_pad": "VALID", "strides": [2, 2]}, 1),
    ("Conv", 11, [rand(2, 3, 11), rand(5, 3, 4), rand(5)], {"pads": [3, 0]}, 1),
    ("ConvTranspose", 11, [X, rand(4, 5, 2, 2), rand(5)], {"strides": [2, 2]}, 1),
    ("ConvTranspose", 11, [X, rand(4, 5, 3, 3)], {"strides": [2, 2], "pads": [1, 1, 0, 2], "output_padding": [1] * 2},
     1),
    ("ConvTranspose", 11, [X, rand(4, 2, 3, 3)], {"group": 2, "pads": [1, 1, 1, 1], "dilations": [2, 2]}, 1),
    ("MaxPool", 11, [X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 1),
    ("MaxPool", 11, [-abs(X)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 2, 1, 1]}, 1),
    ("MaxPool", 11, [-abs(X)], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 1),
    ("MaxPool", 11, [-abs(X)], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [0, 1, 0, 0]}, 1),
    ("MaxPool", 11, [X], {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ("MaxPool", 11, [X], {"kernel_shape": [3, 3], "dilations": [2, 2], "pads": [1, 1, 1, 1]}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [3, 3], "pads": [0, 1, 2, 0], "strides": [2, 2]}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [3, 3], "pads": [0, 1, 2, 0], "count_include_pad": 1}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [3, 3], "pads": [0, 1, 1, 0], "strides": [2, 2], "ceil_mode": 1}, 1),
    ("AveragePool", 11, [X], {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, 1),
    ("GlobalAveragePool", 11, [X], {}, 1),
    ("GlobalMaxPool", 11, [X], {}, 1),
    ("BatchNormalization", 11, [X, rand(4), rand(4, seed=1), rand(4, seed=2), abs(rand(4, seed=3)) + 0.1], {}, 1),
    ("BatchNormalization", 15, [rand(3, 4), rand(4), rand(4), rand(4), abs(rand(4)) + 0.1], {"epsilon": 0.1}, 1),
    ("InstanceNormalization", 11, [X, rand(4), rand(4)], {"epsilon": 0.01}, 1),
    ("InstanceNormalization", 11, [rand(2, 4, 30), rand(4), rand(4)], {}, 1),
    ("LayerNormalization", 17, [X, rand(7), rand(7)], {}, 1),
    ("LayerNormalization", 17, [X, rand(9, 7)], {"axis": 2}, 1),
    ("GroupNormalization", 21, [X, rand(4), rand(4)], {"num_groups": 2}, 1),
    ("LpNormalization", 11, [rand(3, 5)], {"axis": 1}, 1),
    ("Gemm", 11, [rand(3, 5), rand(6, 5), rand(6)], {"transB": 1}, 1),
    ("Gemm", 11, [rand(5, 3), rand(5, 6), rand(3, 1)], {"transA": 1, "alpha": 0.5, "beta": 2.0}, 1),
    ("Gemm", 11, [rand(3, 5), rand(5, 6)], {}, 1),
    ("Gemm", 11, [rand(4, 5), rand(5, 4), rand(4, 1)], {}, 1),
    ("MatMul", 11, [rand(2, 3, 5), rand(5, 6)], {}, 1),
    ("PRelu", 11, [X, rand(4, 1, 1)], {}, 1),
    ("PRelu", 11, [X, rand(1)], {}, 1),
    ("PRelu", 11, [X, rand(7)], {}, 1),
    ("PRelu", 11, [rand(2, 4, 4), rand(4, 1)], {}, 1),
    ("PRelu", 11, [rand(3, 4), rand(4)], {}, 1),
    ("Relu", 11, [X], {}, 1),
    ("LeakyRelu", 11, [X], {"alpha": 0.2}, 1),
    ("LeakyRelu", 11, [X], {}, 1),
    ("Elu", 11, [X], {}, 1),
    ("HardSigmoid", 11, [X], {}, 1),
    ("HardSwish", 14, [X], {}, 1),
    ("Gelu", 20, [X], {}, 1),
    ("Clip", 10, [X], {"min": -0.5, "max": 0.5}, 1),
    ("Clip", 11, [X, np.float32(0), np.float32(6)], {}, 1),
    ("Clip", 11, [X, None, np.float32(0.1)], {}, 1),
    ("Softmax", 11, [rand(2, 3, 4)], {}, 1),
    ("Softmax", 11, [rand(2, 3, 4)], {"axis": 2}, 1),
    ("Softmax", 13, [rand(2, 3, 4)], {}, 1),
    ("LogSoftmax", 13, [rand(2, 3, 4)], {"axis": 1}, 1),
    *[(name, 13, [abs(X) + 0.1], {}, 1) for name in ("Sqrt", "Log", "Reciprocal")],
    *[
        (name, 14, [X], {}, 1)
        for name in ("Sigmoid", "Tanh", "Erf", "Exp", "Abs", "Neg", "Floor", "Ceil", "Round", "Softplus", "Softsign",
                     "Identity", "Sin", "Cos", "Sign", "Size", "Shape", "Dropout")
    ],
    *[(name, 13, [X, rand(4, 1, 1)], {}, 1) for name in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Sum")],
    ("Max", 13, [X, rand(4, 1, 1), rand(7)], {}, 1),
    ("Div", 13, [ints(7, -7, 5), ints(2, 2, -3)], {}, 1),
    ("Pow", 13, [abs(X), np.float32(2)], {}, 1),
    ("Reshape", 11, [X, ints(0, -1, 7)], {}, 1),
    ("Flatten", 11, [X], {}, 1),
    ("Flatten", 11, [X], {"axis": 0}, 1),
    ("Flatten", 11, [X], {"axis": -1}, 1),
    ("Transpose", 11, [X], {"perm": [0, 2, 3, 1]}, 1),
    ("Transpose", 11, [X], {}, 1),
    ("Squeeze", 11, [rand(1, 3, 1, 2)], {"axes": [0, -2]}, 1),
    ("Squeeze", 13, [rand(1, 3, 1, 2), ints(2)], {}, 1),
    ("Squeeze", 13, [rand(1, 3, 1, 2)], {}, 1),
    ("Unsqueeze", 11, [X], {"axes": [0, 5]}, 1),
    ("Unsqueeze", 13, [X, ints(-1)], {}, 1),
    ("Concat", 11, [X, rand(2, 1, 9, 7)], {"axis": 1}, 1),
    ("Split", 11, [X], {"axis": 1, "split": [1, 3]}, 2),
    ("Split", 11, [X], {"axis": 1}, 2),
    ("Split", 13, [X, ints(3, 6)], {"axis": 2}, 2),
    ("Split", 18, [X], {"axis": 2, "num_outputs": 2}, 2),
    ("Slice", 9, [X], {"starts": [0, 1], "ends": [1, 9999]}, 1),
    ("Slice", 9, [X], {"starts": [-3], "ends": [-1], "axes": [3]}, 1),
    ("Slice", 11, [X, ints(1, 0), ints(9, 2**63 - 1), ints(2, -1), ints(3, 2)], {}, 1),
    ("Slice", 11, [X, ints(-1), ints(-(2**63)), ints(2), ints(-2)], {}, 1),
    ("Slice", 11, [X, ints(5), ints(1), ints(2), ints(-1)], {}, 1),
    ("Slice", 11, [X, ints(0), ints(1)], {}, 1),
    ("Gather", 11, [X, ints(3, -1, 0)], {"axis": 1}, 1),
    ("Gather", 11, [X, np.array([[1, 0], [2, 2]])], {"axis": 2}, 1),
    ("Gather", 11, [X, np.array(1)], {}, 1),
    ("Pad", 9, [X], {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.5}, 1),
    ("Pad", 11, [X, ints(0, 1, 1, 2, 0, 0, 3, 0), np.float32(2)], {}, 1),
    ("Pad", 11, [X, ints(0, 0, 1, 2, 0, 0, 3, 0)], {"mode": "reflect"}, 1),
    ("Pad", 11, [X, ints(0, 0, 1, 2, 0, 0, 3, 0)], {"mode": "edge"}, 1),
    ("Pad", 18, [X, ints(1, 2), None, ints(3)], {}, 1),
    ("Pad", 11, [X, ints(0, 0, -1, 0, 0, 0, 0, -2)], {}, 1),
    ("Expand", 11, [rand(4, 1, 1), ints(2, 1, 3, 2)], {}, 1),
    ("Tile", 11, [X, ints(1, 2, 1, 3)], {}, 1),
    ("Cast", 11, [X * 3], {"to": TensorProto.INT64}, 1),
    ("Cast", 11, [ints(1, 0, 2)], {"to": TensorProto.FLOAT}, 1),
    ("ReduceMean", 11, [X], {"axes": [2, 3]}, 1),
    ("ReduceMean", 18, [X, ints(1)], {"keepdims": 0}, 1),
    ("ReduceSum", 13, [X, ints(-1)], {}, 1),
    ("ReduceSum", 13, [X], {"noop_with_empty_axes": 1}, 1),
    ("ReduceSum", 13, [X], {}, 1),
    *[(f"Reduce{name}", 11, [X], {"axes": [1, 2]}, 1) for name in ("Max", "Min", "Prod", "L1", "L2", "SumSquare")],
    ("ArgMax", 11, [X], {"axis": 1}, 1),
    ("ArgMin", 11, [X], {"axis": -1, "keepdims": 0}, 1),
    ("DepthToSpace", 11, [X], {"blocksize": 2}, 1),
    ("DepthToSpace", 11, [X], {"blocksize": 2, "mode": "CRD"}, 1),
    ("Equal", 11, [ints(1, 2, 3), ints(1, 0, 3)], {}, 1),
    *[(name, 16, [X, rand(7)], {}, 1) for name in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")],
    ("Range", 11, [np.array(1), np.array(9), np.array(3)], {}, 1),
    ("ConstantOfShape", 11, [ints(2, 3)], {"value": helper.make_tensor("v", 1, [1], [0.5])}, 1),
    ("Upsample", 9, [X, np.array([1, 1, 2, 3], np.float32)], {}, 1),
    ("Upsample", 7, [X], {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "linear"}, 1),
    ("Resize", 10, [X, np.array([1, 1, 2, 1.5], np.float32)], {}, 1),
    ("Resize", 18, [X, None, None, ints(4, 12)], {"axes": [2, 3], "mode": "linear"}, 1),
]  # fmt: skip
PLACES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
CASES += [
    ("Resize", 13, [SQUARE, NOTHING, scales, sizes], {"mode": mode, "coordinate_transformation_mode": place, **more}, 1)
    for place in PLACES
    for mode, more in (
        ("nearest", {"nearest_mode": "floor"}), ("nearest", {"nearest_mode": "ceil"}), ("nearest", {}), ("linear", {}),
        ("nearest", {"nearest_mode": "round_prefer_ceil"}), ("cubic", {}), ("cubic", {"exclude_outside": 1}),
    )
    for scales, sizes in (
        (np.array([1, 1, 2, 2], np.float32), None), (np.array([1, 1, 0.6, 1.7], np.float32), None),
        (NOTHING, ints(2, 4, 16, 24)), (NOTHING, ints(2, 4, 5, 13)), (NOTHING, ints(2, 4, 1, 3)),
    )
]  # fmt: skip


def one_operator(operator: str, opset: int, values: list[Any], attributes: dict[str, Any], count: int) -> bytes:
    names = ["" if value is None else f"x{i}" for i, value in enumerate(values)]
    result = [f"y{i}" for i in range(count)]
    node = helper.make_node(operator, names, result, **attributes)
    inputs = {"x0": (values[0].dtype, list(values[0].shape))}
    weights = {name: value for name, value in list(zip(names, values, strict=True))[1:] if name}
    whole = {"Cast": np.int64 if attributes.get("to") == TensorProto.INT64 else np.float32, "Size": np.int64}
    whole |= dict.fromkeys(("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"), bool)
    whole |= dict.fromkeys(("Shape", "ArgMax", "ArgMin", "Range"), np.int64)
    kind = whole.get(operator, np.float32 if operator == "ConstantOfShape" else values[0].dtype)
    return model([node], inputs, dict.fromkeys(result, (kind, None)), weights, opset)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{'-'.join(map(str, case[3].values()))}")
def test_an_operator_as_onnxruntime_has_it(case: tuple[str, int, list[Any], dict[str, Any], int], ort: Any) -> None:
    operator, opset, values, attributes, count = case
    assert_equal(ort, one_operator(operator, opset, values, attributes, count), {"x0": values[0]}, 1e-5)


def test_every_operator_of_the_table_is_compared() -> None:
    compared = {case[0] for case in CASES}
    elsewhere = {"Constant", "DequantizeLinear"}  # in the pocket's files
    elsewhere |= {"Where", "Not", "And", "Or"}  # below
    elsewhere |= {"Mish"}  # onnxruntime has it from opset 18 on, below
    assert set(OPERATORS) - compared - elsewhere == set()


def test_choices_by_condition(ort: Any) -> None:
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["p"]),
        helper.make_node("Less", ["x", "one"], ["q"]),
        helper.make_node("And", ["p", "q"], ["both"]),
        helper.make_node("Not", ["both"], ["neither"]),
        helper.make_node("Or", ["neither", "p"], ["most"]),
        helper.make_node("Where", ["most", "x", "one"], ["chosen"]),
        helper.make_node("Where", ["both", "chosen", "zero"], ["last"]),
        helper.make_node("Mish", ["last"], ["y"]),
    ]
    content = model(nodes, {"x": [2, 4, 9, 7]}, {"y": None}, {"zero": np.float32(0), "one": np.float32(1)}, 18)
    assert_equal(ort, content, {"x": X})


def picture(side: int, of: str, seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).uniform(0, 1, (1, 3, side, side)).astype(np.float32)
    return drawn * 255 if of == "centerface" else drawn * 2 - 1


@pytest.mark.parametrize("path", POCKET, ids=lambda path: path.stem)
def test_the_pockets_networks(path: Path, ort: Any) -> None:
    side = read_graph(path.read_bytes()).inputs[0].shape[-1]
    feeds = {read_graph(path.read_bytes()).inputs[0].name: np.concatenate([picture(side, "", i) for i in range(3)])}
    assert_equal(ort, path.read_bytes(), feeds)


def test_scrfds_operators_at_any_size(ort: Any) -> None:
    """Sizes that are no multiple of anything, so that pools hang over edges and levels do not double."""
    content = scrfd()
    for height, width in ((64, 96), (75, 101), (640, 640)):
        assert_equal(ort, content, {"input.1": rand(1, 3, height, width)})


def test_iresnets_operators(ort: Any) -> None:
    assert_equal(ort, iresnet(), {"input.1": rand(2, 3, 112, 112)})


@pytest.mark.parametrize("content", [iresnet(), iresnet(batch=1)], ids=["open batch", "one"])
def test_a_batch_is_what_each_alone_is(content: bytes) -> None:
    graph = read_graph(content)
    module, pictures = TorchGraph(graph), torch.from_numpy(rand(5, 3, 112, 112))
    with torch.inference_mode():
        (together,), alone = module(pictures), torch.cat([module(one[None])[0] for one in pictures])
    assert difference(together.numpy(), alone.numpy()) < 1e-5


@pytest.mark.parametrize("name", ["pocket_arcface", "pocket_judge", "pocket_factors", "pocket_detector", "r50", "det"])
def test_speed_and_opening(name: str, ort: Any) -> None:
    """In seconds of this thread's processor, which other programs hardly lengthen; the fastest of several runs."""
    whole = {"r50": lambda: iresnet((3, 4, 14, 3), 32), "det": lambda: scrfd(24)}
    content = whole[name]() if name in whole else (pocket.WEIGHTS / f"{name}.onnx").read_bytes()
    content = free_sizes(content) if name == "pocket_detector" else content
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        (opening,) = fastest(lambda: TorchGraph(read_graph(content)), times=3)
        graph = read_graph(content)
        feed = graph.inputs[0]
        shape = [side if isinstance(side, int) else (1 if i == 0 else 320) for i, side in enumerate(feed.shape)]
        feeds = {feed.name: rand(*(shape or (1, 3, 320, 320)))}
        network = TorchNetwork(name, graph.inputs, graph.outputs, TorchGraph(graph), lambda: None)
        session = onnxruntime_network(ort, content)
        torch_seconds, ort_seconds = fastest(
            lambda: network.run(None, feeds), lambda: session.run(None, feeds), times=60
        )
    finally:
        torch.set_num_threads(before)
    assert opening < 0.5
    assert torch_seconds < 3.5 * ort_seconds, f"{torch_seconds / ort_seconds:.1f}"


def test_constants_are_computed_once_and_norms_are_merged() -> None:
    graph = read_graph(iresnet())
    module = TorchGraph(graph)
    steps = [step.operator for step in module._steps]
    # One before each of the 5 blocks' first convolution, the one before the matrix, and the one after it.
    assert steps.count("BatchNormalization") == 5 + 2
    assert "DequantizeLinear" not in [
        step.operator for step in TorchGraph(read_graph(pocket.JUDGE.read_bytes()))._steps
    ]


def test_weights_are_parameters_that_move_and_shapes_are_not() -> None:
    module = TorchGraph(read_graph(scrfd()))
    assert all(weight.is_floating_point() and not weight.requires_grad for weight in module.parameters())
    assert len(list(module.parameters())) == len(module.state_dict()) > 30
    before = module(torch.zeros(1, 3, 64, 64))[0]
    for weight in module.parameters():  # as a host does it
        weight.data = weight.data.clone()
    assert torch.equal(before, module(torch.zeros(1, 3, 64, 64))[0])


def test_half_precision_files_are_computed_in_float32(ort: Any) -> None:
    weight = rand(6, 4, 3, 3)
    nodes = [
        helper.make_node("Cast", ["w"], ["w32"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w32"], ["y"]),
    ]
    content = model(nodes, {"x": [2, 4, 9, 7]}, {"y": None}, {"w": weight.astype(np.float16)})
    assert_equal(ort, content, {"x": X})


def test_untold_outputs_are_measured(tmp_path: Path) -> None:
    """onnxruntime infers them; a recogniser is known by its 512 numbers."""
    path = tmp_path / "w600k_r50.onnx"
    path.write_bytes(iresnet(shape="untold"))
    assert open_network(path).get_outputs()[0].shape[1:] == (512,)
    assert recognise.load(path).features(torch.rand(2, 3, 112, 112)).shape == (2, 512)


def test_packs_of_these_forms_load_as_detector_and_recogniser(tmp_path: Path) -> None:
    (tmp_path / "det_10g.onnx").write_bytes(scrfd())
    (tmp_path / "w600k_r50.onnx").write_bytes(iresnet())
    files = sorted(tmp_path.iterdir())
    assert detect.load_first(files).name == "det_10g" and recognise.load_first(files).name == "w600k_r50"
    assert isinstance(detect.load_first(files)(torch.rand(3, 100, 70)), list)


def strange(tmp_path: Path, domain: str = "") -> Path:
    """A file with an operator that we do not know, and another domain's."""
    node = helper.make_node("Hardmax" if not domain else "FusedConv", ["x"], ["y"], domain=domain)
    path = tmp_path / "strange.onnx"
    path.write_bytes(model([node], {"x": [1, 3, 112, 112]}, {"y": [1, 3, 112, 112]}, {}))
    return path


def test_an_unknown_operator_is_named_and_goes_to_onnxruntime(tmp_path: Path, ort: Any) -> None:
    network = open_network(strange(tmp_path))
    assert network.get_providers() == ["CPUExecutionProvider"]
    assert network.run(None, {"x": rand(1, 3, 112, 112)})[0].sum() == 1


def test_an_unknown_operator_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    wanted = r"strange\.onnx.*Hardmax.*pip install onnxruntime .*pip uninstall -y onnxruntime onnxruntime-gpu, then"
    for load in (
        open_network,
        detect.load,
        lambda path: detect.load_first([path]),
        lambda path: recognise.load_first([path]),
    ):
        with pytest.raises(ImportError, match=wanted):
            load(strange(tmp_path))
    with pytest.raises(ImportError, match=r"com\.microsoft\.FusedConv"):
        open_network(strange(tmp_path, "com.microsoft"))
    with pytest.raises(ImportError, match="provider onnxruntime was asked for"):
        open_network(pocket.DETECTOR, ONNXRUNTIME)


def test_half_uninstalled_onnxruntime_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left where one of two wheels was uninstalled: a module with nothing in it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", type(sys)("onnxruntime"))
    with pytest.raises(ImportError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        open_network(strange(tmp_path))


@pytest.mark.parametrize(
    ("node", "weights", "named"),
    [
        (
            helper.make_node("Resize", ["x", "", "s"], ["y"], antialias=1, mode="linear"),
            {"s": [1, 1, 2, 2]},
            "antialias",
        ),
        (helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2]), {}, "indices"),
        (helper.make_node("Pad", ["x", "s"], ["y"], mode="wrap"), {"s": [1, 1, 2, 2]}, "wrap"),
    ],
    ids=["Resize", "MaxPool", "Pad"],
)
def test_what_an_operator_cannot_do_here_is_said(node: Any, weights: dict[str, Any], named: str) -> None:
    arrays = {name: np.array(value, np.float32) for name, value in weights.items()}
    graph = read_graph(model([node], {"x": [1, 3, 8, 8]}, {"y": None}, arrays, 18))
    with pytest.raises(Unsupported, match=rf"{node.op_type}.*{named}"):
        TorchGraph(graph)


def test_broken_and_hostile_files_are_refused_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut anywhere, and with bytes changed: a ValueError, or one operator more that we do not know, or a network that
    runs or fails; nothing else, and soon."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    content = pocket.DETECTOR.read_bytes()
    draw = np.random.default_rng(0)
    start = time.thread_time()
    for at in (0, 1, 5, 100, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match=r"cut off|garbled|no network|makes|made|within a number|numbers for"):
            TorchGraph(read_graph(content[:at]))
    refused = 0
    for source in (content, scrfd(4), iresnet((1, 1, 1, 1), 2)):
        for _ in range(100):
            broken = bytearray(source)
            for at in draw.integers(0, 3000, 3):
                broken[at] = draw.integers(0, 256)
            try:
                open_network("broken.onnx", "cpu", bytes(broken))
            except (ValueError, ImportError) as error:
                assert "broken.onnx" in str(error)
                refused += 1
    assert refused > 100 and time.thread_time() - start < 100


@pytest.mark.parametrize(
    ("shape", "raw", "said"),
    [
        ([2**40], b"", "0 numbers"),
        ([2**62, 4], b"", "0 numbers"),
        ([-4], b"\0" * 16, "the shape"),
        ([3], b"\0" * 7, "within a number"),
        ([3], b"\0" * 16, "4 numbers"),
    ],
)
def test_weights_that_lie_about_their_size(shape: list[int], raw: bytes, said: str) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=shape, raw_data=raw)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "g", [], [helper.make_tensor_value_info("y", 1, None)], [tensor]
    )
    with pytest.raises(ValueError, match=said):
        read_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)]).SerializeToString())


def test_weights_in_another_file_are_never_opened(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "g", [], [helper.make_tensor_value_info("y", 1, None)], [tensor]
    )
    with pytest.raises(Unsupported, match="another file"):
        read_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)]).SerializeToString())


@pytest.mark.parametrize(
    ("operator", "weights"),
    [("Expand", [2**20, 2**20]), ("ConstantOfShape", [2**20, 2**20]), ("Tile", [2**40]), ("Pad", [0, 2**40])],
)
def test_small_files_make_no_huge_tensors(operator: str, weights: list[int]) -> None:
    names = ["n"] if operator == "ConstantOfShape" else ["w", "n"]
    nodes = [helper.make_node(operator, names, ["z"]), helper.make_node("Add", ["x", "z"], ["y"])]
    arrays = {"w": np.ones(1, np.float32), "n": np.array(weights, np.int64)}
    with pytest.raises(ValueError, match=rf"{operator} cannot be run: .*larger than"):
        TorchGraph(read_graph(model(nodes, {"x": [1]}, {"y": None}, arrays)))


def test_a_graph_that_reads_what_is_not_made() -> None:
    nodes = [helper.make_node("Relu", ["y"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    with pytest.raises(ValueError, match="its Relu reads 'y', which nothing before it makes"):
        read_graph(model(nodes, {"x": [1]}, {"y": None}, {}))
