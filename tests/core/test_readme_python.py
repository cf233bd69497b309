"""The library's Python as the README shows it, today's and the last release's."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
LAST_RELEASE = """
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core import images
from revpers_core.types import Attribute, Plan

pipe = ReversePersonalizationPipeline.from_single_file(
    "sd_xl_base_1.0.safetensors", "ip-adapter-faceid_sdxl.bin", "w600k_r50.onnx"
)
made = pipe.anonymize(images.read("face.png")[None], Plan(guidance=-10, attribute=Attribute(age="young", sex="woman")))
images.picture(made.image[0]).save("somebody_else.png")
"""


def of_today() -> str:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    return shown


@pytest.mark.parametrize("code", [LAST_RELEASE, of_today()], ids=["last release", "today"])
def test_the_readmes_python_runs(code, random_pocket, tmp_path, monkeypatch):
    from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
    from revpers_core.media import gallery, images

    monkeypatch.chdir(tmp_path)
    images.write_png(images.to_pil(gallery.aligned_face(2, 0)), tmp_path / "face.png")
    asked = []
    pipe = ReversePersonalizationPipeline.from_pocket()
    monkeypatch.setattr(
        ReversePersonalizationPipeline, "from_single_file", classmethod(lambda cls, *files: asked.append(files) or pipe)
    )
    exec(code.replace("Plan(", "Plan(steps=2, "), {})  # noqa: S102 (the README's own words)
    assert asked == [("sd_xl_base_1.0.safetensors", "ip-adapter-faceid_sdxl.bin", "w600k_r50.onnx")]
    result, before = images.read(tmp_path / "somebody_else.png"), images.read(tmp_path / "face.png")
    assert result.shape == before.shape and torch.isfinite(result).all() and not torch.equal(result, before)
