"""Opening ONNX networks: onnxruntime is imported here, when the first one is asked for."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Network = Any
"""Anything with onnxruntime's ``run``, ``get_inputs`` and ``get_outputs``."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
WARNINGS_OFF = 3


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


def open_network(path: str | Path, provider: str = "auto", data: bytes | None = None) -> Network:
    """Open an ONNX file, or ``data`` in its stead.

    provider: "cpu", "cuda", or "auto" for CUDA where it works (a warning where it should and does not). Raises
    ImportError without onnxruntime, ValueError for a file that is none and RuntimeError where CUDA was asked for and is
    not there.
    """
    ort = runtime()
    path = Path(path)
    if provider not in ("auto", *PROVIDERS):
        raise ValueError(f"provider must be auto, cpu or cuda, got {provider!r}")
    available = ort.get_available_providers()
    wanted = [name for key, name in PROVIDERS.items() if name in available and provider in (key, "auto")][::-1]
    if not wanted:
        raise _no_cuda(ort, path)
    options = ort.SessionOptions()
    options.log_severity_level = WARNINGS_OFF  # exporters' leftovers make it warn hundreds of times
    try:
        network = ort.InferenceSession(str(path) if data is None else data, options, providers=wanted)
    except Exception as error:
        raise ValueError(f"{path.name} cannot be opened as an ONNX network: {error}") from error
    # A CUDA build without its libraries falls back in silence.
    if PROVIDERS["cuda"] in wanted and PROVIDERS["cuda"] not in network.get_providers():
        if provider == "cuda":
            raise _no_cuda(ort, path)
        logging.warning(f"{_no_cuda(ort, path)}; it runs on the CPU")
    return Opened(network, path.name)


def runtime() -> Any:
    """onnxruntime without its telemetry: from 1.32 on it puts an id into the temporary folder and calls its maker.

    Raises ImportError where it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is first imported; for what another pack has imported:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("reading a face needs onnxruntime: pip install onnxruntime (or onnxruntime-gpu)") from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _no_cuda(ort: Any, path: Path) -> RuntimeError:
    return RuntimeError(
        f"{path.name} cannot run on CUDA: onnxruntime {ort.__version__} has {ort.get_available_providers()}. "
        "Choose provider cpu, or: pip uninstall onnxruntime, then pip install onnxruntime-gpu (with its CUDA and cuDNN)"
    )
