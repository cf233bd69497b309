"""The detectors' decoding on tiny networks with known heads, and what is said about files that are none."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from revpers_core.faces import centerface, detect, insightface, scrfd
from revpers_core.faces.face import Face
from revpers_core.faces.onnx_session import ONNXRUNTIME, open_network
from revpers_core.faces.onnx_torch import TorchNetwork


def saved(path: Path, nodes: list, inputs: list, outputs: list, constants: dict | None = None) -> Path:
    initial = [numpy_helper.from_array(np.asarray(a, np.float32), name) for name, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def value(name: str, shape: list) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def heads(strides: tuple[int, ...], anchors: int, side: int = 64, batch: bool = False) -> dict[str, np.ndarray]:
    """SCRFD's outputs for a picture of ``side`` pixels: nothing but one face at (24, 16), stride 8."""
    out = {}
    for kind, width in (("score", 1), ("box", 4), ("point", 10)):
        for stride in strides:
            out[f"{kind}{stride}"] = np.zeros(((side // stride) ** 2 * anchors, width), np.float32)
    at = (2 * (side // 8) + 3) * anchors
    out["score8"][at] = 0.9
    out["box8"][at] = [1, 2, 1.5, 1.25]
    out["point8"][at] = [-0.5, -1, 0.5, -1, 0, 0, -0.25, 0.5, 0.25, 0.75]
    out["score8"][at + anchors] = 0.7  # the next place's box overlaps: suppressed
    out["box8"][at + anchors] = [2, 2, 0.5, 1.25]
    out["score8"][0] = 0.2  # under the floor
    out["box8"][0] = 1
    return {name: array[None] if batch else array for name, array in out.items()}


def scrfd_file(path: Path, arrays: dict[str, np.ndarray], shape: list) -> Path:
    nodes = [helper.make_node("Identity", [f"c_{name}"], [name]) for name in arrays]
    outputs = [value(name, list(array.shape)) for name, array in arrays.items()]
    return saved(path, nodes, [value("input.1", shape)], outputs, {f"c_{k}": v for k, v in arrays.items()})


def centerface_file(path: Path) -> Path:
    """Declared for 10 x 3 x 32 x 32 as the real one; a face of 40 x 20 pixels wherever a 4 x 4 block is red."""
    nodes, constants = [], {}
    red = np.zeros((1, 3, 4, 4))
    red[:, 0] = 1 / (255 * 16)
    biases = {
        "537": [0.0],
        "538": np.log([10.0, 5.0]),
        "539": [0.25, 0.5],
        "540": [0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75],
    }
    for name, bias in biases.items():
        constants["w" + name] = red if name == "537" else np.zeros((len(bias), 3, 4, 4))
        constants["b" + name] = np.array(bias)
        nodes.append(helper.make_node("Conv", ["input.1", "w" + name, "b" + name], [name], strides=[4, 4]))
    outputs = [value(name, [10, len(bias), 8, 8]) for name, bias in biases.items()]
    return saved(path, nodes, [value("input.1", [10, 3, 32, 32])], outputs, constants)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(("strides", "anchors"), [((8, 16, 32), 2), ((8, 16, 32, 64, 128), 1)])
def test_insightfaces_form_is_decoded(tmp_path: Path, strides: tuple[int, ...], anchors: int, batch: bool) -> None:
    side = max(64, max(strides))
    path = scrfd_file(tmp_path / "det.onnx", heads(strides, anchors, side, batch), [1, 3, "h", "w"])
    detector = detect.load(path, "cpu")
    assert isinstance(detector, scrfd.Scrfd)
    (face,) = detector(torch.rand(3, side, side))
    assert face.box == pytest.approx((24 - 8, 16 - 16, 24 + 12, 16 + 10))
    assert face.points.tolist() == [[20, 8], [28, 8], [24, 16], [22, 20], [26, 22]]
    assert face.score == pytest.approx(0.9)


def test_a_fixed_input_size_is_served(tmp_path: Path) -> None:
    """A photo twice as large as the file's input: shrunk, found, and told in the photo's pixels."""
    detector = detect.load(scrfd_file(tmp_path / "det.onnx", heads((8, 16, 32), 2), [1, 3, 64, 64]), "cpu")
    (same,), (double,) = detector(torch.rand(3, 64, 40)), detector(torch.rand(3, 128, 80))
    assert same.box == pytest.approx((16, 0, 36, 26))
    assert double.box == pytest.approx([2 * v + 0.5 for v in (16, 0, 36, 26)])


def test_scrfds_input_is_rgb_around_zero(tmp_path: Path) -> None:
    seen = []

    class Network:
        def get_inputs(self):
            return [onnx.ValueInfoProto(name="x")]

        def get_outputs(self):
            return [None] * 9

        def run(self, names, feeds):
            seen.append(feeds["x"])
            return list(heads((8, 16, 32), 2).values())

    scrfd.Scrfd(Network(), "det")(torch.tensor([0.0, 0.5, 1.0])[:, None, None].expand(3, 50, 64))
    assert seen[0].shape == (1, 3, 64, 64)
    assert seen[0][0, :, 0, 0] == pytest.approx([-127.5 / 128, 0, 127.5 / 128], abs=1e-6)
    assert seen[0][0, :, 60, 0] == pytest.approx(-127.5 / 128)


def test_centerface_is_decoded_at_any_size(tmp_path: Path) -> None:
    detector = detect.load(centerface_file(tmp_path / "centerface.onnx"), "cpu")
    assert isinstance(detector, centerface.CenterFace)
    image = torch.zeros(3, 100, 170)
    image[0, 48:52, 80:84] = 0.8
    (face,) = detector(image)
    x, y = (20 + 0.5 + 0.5) * 4 - 0.5, (12 + 0.25 + 0.5) * 4 - 0.5
    assert face.box == pytest.approx((x - 10, y - 20, x + 10, y + 20), abs=1e-4)
    assert face.points[0].tolist() == pytest.approx([x - 5, y - 10], abs=1e-4)
    assert face.points[4].tolist() == pytest.approx([x + 5, y + 10], abs=1e-4)
    assert face.score == pytest.approx(0.8)
    assert detector(torch.zeros(3, 5, 7)) == []


def test_freeing_sizes_drops_the_shapes_and_nothing_else(tmp_path: Path) -> None:
    before = onnx.load(centerface_file(tmp_path / "c.onnx"))
    after = onnx.load_from_string(centerface.free_sizes(before.SerializeToString()))
    for one in (*after.graph.input, *after.graph.output):
        assert not one.type.tensor_type.HasField("shape")
    for model in (before, after):
        for one in (*model.graph.input, *model.graph.output):
            one.type.tensor_type.ClearField("shape")
    assert before == after


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_broken_detections_are_dropped(broken: float) -> None:
    arrays = heads((8, 16, 32), 2)
    arrays["box8"][(2 * 8 + 3) * 2, 0] = broken
    faces = scrfd.decode([torch.from_numpy(a) for a in arrays.values()], (64, 64))
    assert [round(face.score, 1) for face in faces] == [0.7]


def test_a_net_that_fails_says_which_it_is(tmp_path: Path) -> None:
    """onnxruntime's own exceptions are no RuntimeError, and would end a whole folder with a traceback."""
    network = open_network(scrfd_file(tmp_path / "det.onnx", heads((8, 16, 32), 2), [1, 3, 64, 64]), "cpu")
    with pytest.raises(
        RuntimeError, match=r"det\.onnx failed: its input input\.1 takes \[1, 3, 64, 64\], got \[1, 3, 32,"
    ):
        network.run(None, {"input.1": np.zeros((1, 3, 32, 32), np.float32)})
    with pytest.raises(RuntimeError, match=r"det\.onnx failed: 'input\.1'"):
        network.run(None, {"another": np.zeros((1, 3, 64, 64), np.float32)})


def test_onnxruntimes_failures_are_told_alike(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    network = open_network(scrfd_file(tmp_path / "det.onnx", heads((8, 16, 32), 2), [1, 3, 64, 64]), ONNXRUNTIME)
    with pytest.raises(RuntimeError, match=r"det\.onnx failed: .*INVALID_ARGUMENT"):
        network.run(None, {"input.1": np.zeros((1, 3, 32, 32), np.float32)})


def test_files_of_other_forms_are_refused(tmp_path: Path) -> None:
    recogniser = saved(
        tmp_path / "w600k.onnx",
        [helper.make_node("Flatten", ["x"], ["y"])],
        [value("x", [1, 3, 112, 112])],
        [value("y", [1, 37632])],
    )
    boxes_only = scrfd_file(
        tmp_path / "det_boxes.onnx",
        {k: v for k, v in heads((8, 16, 32), 2).items() if not k.startswith("point")},
        [1, 3, "h", "w"],
    )
    for path in (recogniser, boxes_only):
        with pytest.raises(ValueError, match=rf"{path.name} is no face detector with 5 points.*centerface.onnx"):
            detect.load(path, "cpu")
    (tmp_path / "no.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"no.onnx cannot be opened as an ONNX network"):
        detect.load(tmp_path / "no.onnx", "cpu")
    with pytest.raises(ValueError, match=r"absent.onnx cannot be opened"):
        detect.load(tmp_path / "absent.onnx", "cpu")


def test_the_detector_of_a_pack_is_found(tmp_path: Path) -> None:
    other = saved(
        tmp_path / "2d106det.onnx",
        [helper.make_node("Flatten", ["x"], ["y"])],
        [value("x", [1, 3, 8, 8])],
        [value("y", [1, 192])],
    )
    det = scrfd_file(tmp_path / "det_10g.onnx", heads((8, 16, 32), 2), [1, 3, "h", "w"])
    assert isinstance(detect.load_first([other, det], "cpu"), scrfd.Scrfd)
    with pytest.raises(ValueError, match=r"no face detector among 2d106det.onnx"):
        detect.load_first([other], "cpu")
    with pytest.raises(ValueError, match="no face detector among no files"):
        detect.load_first([])


def test_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scrfd_file(tmp_path / "det.onnx", heads((8, 16, 32), 2), [1, 3, "h", "w"])
    with pytest.raises(ValueError, match="provider must be one of auto, cpu, cuda, onnxruntime, got 'tpu'"):
        open_network(path, "tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for provider in ("auto", "cpu"):
        assert isinstance(open_network(path, provider), TorchNetwork)
    with pytest.raises(
        RuntimeError, match=r"det.onnx cannot run on CUDA: this torch .* sees none. Choose provider auto"
    ):
        open_network(path, "cuda")


def test_onnxruntime_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = scrfd_file(tmp_path / "det.onnx", heads((8, 16, 32), 2), [1, 3, "h", "w"])
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    network = open_network(path, ONNXRUNTIME)
    assert network.get_providers() == ["CPUExecutionProvider"]
    ours = open_network(path).run(None, {"input.1": np.zeros((1, 3, 64, 64), np.float32)})
    expected = network.run(None, {"input.1": np.zeros((1, 3, 64, 64), np.float32)})
    assert all(np.array_equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_cuda_that_falls_back_is_told_with_a_cure_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """torch's libraries are loaded first; uninstalling one of the two wheels alone leaves an empty module."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = scrfd_file(tmp_path / "det.onnx", heads((8, 16, 32), 2), [1, 3, "h", "w"])
    wanted = []
    plain = onnxruntime.InferenceSession

    def session(source: str, options: object, providers: list[str]) -> object:
        wanted.append(providers)
        return plain(source, options, providers=["CPUExecutionProvider"])

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: wanted.append("preloaded"), raising=False)
    open_network(path, ONNXRUNTIME)
    assert wanted == ["preloaded", both]
    assert "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu" in caplog.text


def test_insightfaces_own_detectors_are_a_port() -> None:
    class Model:
        input_size = (640, 640)

        def detect(self, pixels: np.ndarray, input_size: tuple[int, int]):
            assert pixels.shape == (20, 30, 3) and pixels[0, 0].tolist() == [0, 0, 255], "BGR"
            return np.array([[1, 2, 11, 12, 0.8]], np.float32), np.arange(10, dtype=np.float32).reshape(1, 5, 2)

    image = torch.zeros(3, 20, 30)
    image[0] = 1
    (face,) = insightface.of_model(Model())(image)
    assert isinstance(face, Face) and face.box == (1, 2, 11, 12) and face.score == pytest.approx(0.8)
    assert face.points.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_a_missing_insightface_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "insightface.app", None)
    with pytest.raises(ImportError, match=r"load det_10g\.onnx itself"):
        insightface.load_pack()
