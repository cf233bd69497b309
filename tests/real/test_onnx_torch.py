"""Real face networks in torch against onnxruntime: CenterFace, fr_feature and the others of its package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timing import fastest

from revpers_core.faces.centerface import free_sizes
from revpers_core.faces.onnx_file import read_graph
from revpers_core.faces.onnx_torch import TorchGraph, TorchNetwork

OTHERS = ("age", "detect", "expression", "eye", "gender", "landmark", "liveness", "pose")


@pytest.fixture(scope="module")
def ort() -> Any:
    return pytest.importorskip("onnxruntime", reason="NOT COMPARED WITH ONNXRUNTIME, which is not installed")


def opened(content: bytes, ort: Any) -> tuple[TorchNetwork, Any]:
    graph, options = read_graph(content), ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads, options.inter_op_num_threads = 3, 1, 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return TorchNetwork("net", graph.inputs, graph.outputs, TorchGraph(graph), lambda: None), session


def feeds(name: str, session: Any) -> dict[str, Any]:
    (feed,) = session.get_inputs()
    shape = feed.shape or (1, 3, 544, 800)
    drawn = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    return {feed.name: drawn * 255 if name == "centerface" else drawn * 2 - 1}


def content_of(name: str, network_file: Callable[[str], Path]) -> bytes:
    content = network_file(name).read_bytes()
    return free_sizes(content) if name == "centerface" else content


@pytest.mark.parametrize("name", ["centerface", "fr_feature", *(f"fr_{other}" for other in OTHERS)])
def test_the_same_as_onnxruntime(name: str, network_file: Callable[[str], Path], ort: Any) -> None:
    ours, expected = opened(content_of(name, network_file), ort)
    given = feeds(name, expected)
    for a, b in zip(ours.run(None, given), expected.run(None, given), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


@pytest.mark.parametrize("name", ["centerface", "fr_feature"])
def test_speed_and_opening(name: str, network_file: Callable[[str], Path], ort: Any) -> None:
    """In seconds of this thread's processor, the fastest of several runs; one thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        content = content_of(name, network_file)
        (opening,) = fastest(lambda: TorchGraph(read_graph(content)), times=3)
        networks = opened(content, ort)
        given = feeds(name, networks[1])
        ours, expected = fastest(*(lambda n=n: n.run(None, given) for n in networks), times=20)
    finally:
        torch.set_num_threads(before)
    assert opening < 0.5
    assert ours < 3.5 * expected, f"{ours / expected:.1f}"
