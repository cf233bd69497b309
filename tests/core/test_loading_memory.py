"""Loading takes little more memory than the weights do: no network lies there twice, not even for a moment.

Both precisions here are other than the file's; in the file's own, weights are views of it and come as they are used.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from revpers_core.lab import adapter as lab_adapter
from revpers_core.lab import unet as lab_unet

WIDTH, CONTEXT, RANK = 160, 1024, 64
"""Of a UNet in SDXL's form, large enough for its weights to outweigh what else the process does."""
MOST = 1.3
LOADED = """
import sys
import torch
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline as Pipeline

def memory(name):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(name + ":"))

checkpoint, adapter, config, face_model, dtype = sys.argv[1:]
with open("/proc/self/clear_refs", "w") as marks:
    marks.write("5")  # the highest so far is forgotten
before = memory("VmRSS")
pipeline = Pipeline.from_single_file(checkpoint, adapter, face_model, config=config, dtype=getattr(torch, dtype))
print(memory("VmHWM") - before)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, miniature) -> Path:
    """``large.safetensors`` and ``adapter.bin`` (both fp16) in SDXL's and FaceID's proportions, and ``config``."""
    root = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (lab_unet, "WIDTH", WIDTH),
            (lab_unet, "CONTEXT", CONTEXT),
            (lab_adapter, "RANK", RANK),
        ):
            patch.setattr(module, name, value)
        unet = lab_unet.UNet()
        adapter = lab_adapter.Adapter(unet.slots(), CONTEXT)
    state = {f"model.diffusion_model.{key}": value.half() for key, value in unet.state_dict().items()}
    rest = load_file(miniature / "mini.safetensors").items()
    save_file(state | {k: v for k, v in rest if "diffusion_model" not in k}, root / "large.safetensors")
    flat = {key: value.half() for key, value in adapter.state_dict().items()}
    parts = ("image_proj", "ip_adapter")
    torch.save(
        {p: {k[len(p) + 1 :]: v for k, v in flat.items() if k.startswith(p)} for p in parts}, root / "adapter.bin"
    )
    shutil.copytree(miniature / "folder", root / "config")
    config = json.loads((root / "config/unet/config.json").read_text())
    widths = [WIDTH * mult for mult in lab_unet.MULT]
    config |= {"block_out_channels": widths, "attention_head_dim": [width // lab_unet.HEAD for width in widths]}
    config["cross_attention_dim"] = CONTEXT
    (root / "config/unet/config.json").write_text(json.dumps(config))
    return root


@pytest.mark.skipif(sys.platform != "linux", reason="the highest memory so far is read from /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_near_the_weights_own_size(files: Path, random_files: Path, dtype: str) -> None:
    names = [files / "large.safetensors", files / "adapter.bin"]
    arguments = [*map(str, names), str(files / "config"), str(random_files / "pocket_arcface.onnx"), dtype]
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size = sum(path.stat().st_size for path in names) * getattr(torch, dtype).itemsize / 2
    assert int(done.stdout) < MOST * size, f"{int(done.stdout) / size:.2f} times {size / 1e6:.0f} MB"
