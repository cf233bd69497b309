"""Opening ONNX networks: torch runs them; onnxruntime, an option, where it is asked for or alone knows how."""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from .onnx_file import LARGEST, Unsupported, read_graph
from .onnx_torch import TorchGraph, TorchNetwork

Network = Any
"""Anything with onnxruntime's ``run``, ``get_inputs`` and ``get_outputs``."""
Loaded = TypeVar("Loaded")
ONNXRUNTIME = "onnxruntime"
DEVICES = ("auto", "cpu", "cuda", ONNXRUNTIME)
"""What people may ask for."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
WARNINGS_OFF = 3
GPU_CURE = (
    "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu (1.24.4 is the last one for CUDA "
    "12, later ones are for CUDA 13)"
)
"""Both at once: each writes over the other's files, and neither notices what the other took away."""


@dataclass(frozen=True)
class Place:
    """Where torch runs a network. manage: takes the module once, and gives what brings it there before every run."""

    device: torch.device
    manage: Callable[[nn.Module], Callable[[], Any]] | None = None

    def bring(self, module: nn.Module) -> Callable[[], Any]:
        return self.manage(module) if self.manage else lambda: module.to(self.device)


@dataclass(frozen=True)
class Opened:
    """An onnxruntime session whose failures are errors that say which file failed."""

    session: Any
    name: str

    def run(self, outputs: Any, feeds: Any) -> Any:
        """Raises RuntimeError, which onnxruntime's own exceptions are not."""
        try:
            return self.session.run(outputs, feeds)
        except Exception as error:
            raise RuntimeError(f"{self.name} failed: {error}") from error

    def get_inputs(self) -> Any:
        return self.session.get_inputs()

    def get_outputs(self) -> Any:
        return self.session.get_outputs()

    def get_providers(self) -> Any:
        return self.session.get_providers()


def open_network(path: str | Path, provider: str | Place = "auto", data: bytes | None = None) -> Network:
    """Open an ONNX file, or ``data`` in its stead.

    provider: "cpu", "cuda", "auto" for torch's accelerator where there is one, or a place of the host's; torch runs the
    network, and onnxruntime those with operators that we do not know. "onnxruntime" has that run it in any case, on
    CUDA where it works. Raises ValueError for a file that is none, ImportError where onnxruntime is needed and missing,
    and RuntimeError where CUDA was asked for and is not there.
    """
    path = Path(path)
    if not isinstance(provider, Place) and provider not in DEVICES:
        raise ValueError(f"provider must be one of {', '.join(DEVICES)}, got {provider!r}")
    if provider == ONNXRUNTIME:
        return _session(path, "auto", data, "provider onnxruntime was asked for")
    place = provider if isinstance(provider, Place) else Place(_device(provider, path))
    try:
        graph = read_graph(_content(path) if data is None else data)
        module = TorchGraph(graph).eval()
        outputs = module.measured(graph.inputs, graph.outputs)
    except Unsupported as error:
        logging.info(f"{path.name} goes to onnxruntime: {error}")
        runtime_provider = (
            "cpu" if place.device.type == "cpu" and provider != "auto" else "cuda" if provider == "cuda" else "auto"
        )
        return _session(path, runtime_provider, data, f"it has what the pack itself cannot run: {error}")
    except Exception as error:  # whatever a garbled file leads to
        raise ValueError(f"{path.name} cannot be opened as an ONNX network: {error}") from error
    return TorchNetwork(path.name, graph.inputs, outputs, module, place.bring(module))


def first_of(paths: Iterable[Path], load: Callable[[Path], Loaded]) -> Loaded | None:
    """What the first file gives that can be loaded; None where all are of another form.

    Raises ImportError where none can and one of them needs onnxruntime.
    """
    missing: ImportError | None = None
    for path in paths:
        try:
            return load(path)
        except ValueError:
            continue
        except ImportError as error:
            missing = missing or error
    if missing:
        raise missing
    return None


def runtime(reason: str = "it is asked for") -> Any:
    """onnxruntime without its telemetry: from 1.32 on it puts an id into the temporary folder and calls its maker.

    Raises ImportError where it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is first imported; for what another pack has imported:
    try:
        import onnxruntime

        onnxruntime.disable_telemetry_events()
    except (ImportError, AttributeError) as error:  # an empty module is what uninstalling one of two wheels leaves
        raise ImportError(
            f"onnxruntime is needed and not installed ({reason}): pip install onnxruntime (on the CPU), or for CUDA "
            f"{GPU_CURE}"
        ) from error
    return onnxruntime


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has {path.stat().st_size} bytes, more than a network's file can have")
    return path.read_bytes()


def _device(provider: str, path: Path) -> torch.device:
    """Of torch's, for auto: the first accelerator it has."""
    if provider == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"{path.name} cannot run on CUDA: this torch ({torch.__version__}) sees none. Choose provider auto or cpu, "
            "or install torch for CUDA"
        )
    backends = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}
    usable = [name for name, kind in backends.items() if provider in (name, "auto") and kind.is_available()]
    return torch.device(usable[0] if usable else "cpu")


def _session(path: Path, provider: str, data: bytes | None, reason: str) -> Opened:
    """onnxruntime's. provider: "cpu", "cuda", or "auto" for CUDA where it works (a warning where it should and does
    not). Raises RuntimeError where CUDA was asked for and is not there."""
    ort = runtime(f"for {path.name}: {reason}")
    available = ort.get_available_providers()
    providers = [name for key, name in PROVIDERS.items() if name in available and provider in (key, "auto")][::-1]
    if not providers:
        raise RuntimeError(_no_cuda(ort, path))
    if PROVIDERS["cuda"] in providers and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA's and cuDNN's libraries, which torch brings along
    options = ort.SessionOptions()
    options.log_severity_level = WARNINGS_OFF  # exporters' leftovers make it warn hundreds of times
    try:
        network = ort.InferenceSession(str(path) if data is None else data, options, providers=providers)
    except Exception as error:
        raise ValueError(f"{path.name} cannot be opened as an ONNX network: {error}") from error
    # A CUDA build without its libraries falls back in silence.
    if PROVIDERS["cuda"] in providers and PROVIDERS["cuda"] not in network.get_providers():
        if provider == "cuda":
            raise RuntimeError(_no_cuda(ort, path))
        logging.warning(f"{_no_cuda(ort, path)}; it runs on the CPU")
    return Opened(network, path.name)


def _no_cuda(ort: Any, path: Path) -> str:
    return (
        f"{path.name} cannot run on CUDA: onnxruntime {ort.__version__} has {ort.get_available_providers()}, and "
        f"starts only what fits the CUDA that is there. Choose provider cpu, or: {GPU_CURE}"
    )
