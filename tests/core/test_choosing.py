"""What 'Load Everything' takes out of the folders: files of the published forms, small and with random weights."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from revpers_core import pocket
from revpers_core.adapters import weights
from revpers_core.hosts.checkpoint_files import CONV_IN, MARKS, OTHERS
from revpers_core.hosts.choosing import AvailableFiles, FileRequest, choose

sys.path.append(str(Path(__file__).parents[1] / "parity"))
from adapter_files import NAMES, adapter

SDXL = pocket.CHECKPOINT
"""SDXL's own layout, every key of it, with a context of 64."""


def checkpoint(path: Path, marks: tuple[str, ...], context: int, channels: int = 4) -> Path:
    """A file with the keys that tell its family."""
    state = {key: torch.zeros(1) for key in marks} | {CONV_IN: torch.zeros(8, channels, 3, 3)}
    state["model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"] = torch.zeros(8, context)
    save_file(state, path)
    return path


def adapters(folder: Path, *kinds: str, context: int = 64, name: str = "") -> dict[str, Path]:
    found = {}
    for kind in kinds:
        path = folder / (name or NAMES[kind])
        torch.save(adapter(kind, [64] * 3, context=context), path)
        found[path.name] = path
    return found


def packs(folder: Path, **files: str) -> dict[str, list[Path]]:
    return {pack: [folder / pack / name for name in names.split()] for pack, names in files.items()}


@pytest.fixture
def available(tmp_path):
    sd15 = checkpoint(tmp_path / "a_sd15.safetensors", MARKS["SD 1.5"], 768)
    return AvailableFiles(
        {"a_sd15.safetensors": sd15, "z/xl.safetensors": SDXL},
        adapters(tmp_path, "instantid", "faceid-portrait", "faceid", "faceid-plusv2"),
        packs(
            tmp_path, antelopev2="glintr100.onnx scrfd_10g_bnkps.onnx", buffalo_l="det_10g.onnx w600k_r50.onnx",
            **{"centerface.onnx": "centerface.onnx"},
        ),
    )  # fmt: skip


def names(found) -> list[str]:
    return [found.checkpoint.name, found.adapter.name, found.face_model[0].name, found.detector[0].name]


def test_auto_takes_what_fits_together(available):
    assert names(choose(available, FileRequest())) == [SDXL.name, NAMES["faceid"], "w600k_r50.onnx", "det_10g.onnx"]


def test_the_papers_checkpoint_comes_first(available, tmp_path):
    first = checkpoint(tmp_path / "sd_xl_base_1.0.safetensors", MARKS["SDXL"], 64)
    more = AvailableFiles(
        {**available.checkpoints, "zz/sd_xl_base_1.0.safetensors": first}, available.adapters, available.packs
    )
    assert choose(more, FileRequest()).checkpoint == first


def test_an_adapter_brings_its_recogniser(available):
    found = choose(available, FileRequest(adapter=NAMES["instantid"]))
    assert names(found) == [SDXL.name, NAMES["instantid"], "glintr100.onnx", "scrfd_10g_bnkps.onnx"]
    assert "adapter: ip-adapter.bin" in found.summary and "face model: glintr100.onnx" in found.summary


def test_the_pair_that_fits_is_taken(available, tmp_path):
    """Only SD 1.5's adapter is there: so its checkpoint."""
    small = adapters(tmp_path, "faceid", context=768, name="ip-adapter-faceid_sd15.bin")
    found = choose(AvailableFiles(available.checkpoints, small, available.packs), FileRequest())
    assert names(found)[:2] == ["a_sd15.safetensors", "ip-adapter-faceid_sd15.bin"]


def test_what_is_chosen_by_name_is_taken(available, tmp_path):
    old = tmp_path / "old.ckpt"
    old.touch()
    more = AvailableFiles({**available.checkpoints, "old.ckpt": old}, available.adapters, available.packs)
    found = choose(more, FileRequest("old.ckpt", NAMES["faceid-plusv2"], "antelopev2", "centerface.onnx"))
    assert found.checkpoint == old and found.adapter.name == NAMES["faceid-plusv2"]
    assert {path.name for path in found.face_model} == {"glintr100.onnx", "scrfd_10g_bnkps.onnx"}
    assert found.detector[0].name == "centerface.onnx"


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(FileNotFoundError) as error:
        choose(AvailableFiles(), FileRequest())
    said = str(error.value)
    assert said.startswith("4 files are missing")
    for part in (
        "sd_xl_base_1.0.safetensors (6.9 GB, https://huggingface.co/stabilityai", "ip-adapter-faceid_sdxl.bin (1 GB",
        "ComfyUI/models/ipadapter", "w600k_r50.onnx (280 MB", "models/insightface/models/buffalo_l", "det_10g.onnx",
    ):  # fmt: skip
        assert part in said, said


def test_the_adapter_of_the_checkpoint_is_missed(available):
    alone = AvailableFiles(
        {"a_sd15.safetensors": available.checkpoints["a_sd15.safetensors"]}, available.adapters, available.packs
    )
    with pytest.raises(FileNotFoundError, match=r"^1 file is missing[^\n]*\n- ip-adapter-faceid_sd15.bin"):
        choose(alone, FileRequest())


def test_the_recogniser_of_the_adapter_is_missed(available):
    without_antelope = AvailableFiles(
        available.checkpoints, available.adapters, {"buffalo_l": available.packs["buffalo_l"]}
    )
    with pytest.raises(FileNotFoundError, match=r"^1 file is missing[^\n]*\n- antelopev2.zip"):
        choose(without_antelope, FileRequest(adapter=NAMES["instantid"]))


@pytest.mark.parametrize(
    ("marks", "channels", "why"),
    [
        (OTHERS["SDXL's refiner"], 4, "is SDXL's refiner"),
        (OTHERS["SD 2"], 4, "is SD 2"),
        (MARKS["SDXL"], 9, "an inpainting checkpoint"),
        (("something",), 4, "is not a whole SDXL"),
    ],
)
def test_why_a_checkpoint_was_not_taken_is_said(available, tmp_path, marks, channels, why):
    other = checkpoint(tmp_path / "other.safetensors", marks, 64, channels)
    with pytest.raises(FileNotFoundError, match=rf"(?s)1 file is missing.*sd_xl_base.*other.safetensors .*{why}"):
        choose(AvailableFiles({"other.safetensors": other}, available.adapters, available.packs), FileRequest())


def test_damaged_files_and_adapters_with_clip_do_not_come_into_question(available, tmp_path):
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"no pickle")
    clip = adapters(tmp_path, "plus-face")
    with pytest.raises(FileNotFoundError) as error:
        choose(AvailableFiles(available.checkpoints, {"broken.bin": broken, **clip}, available.packs), FileRequest())
    said = str(error.value)
    assert "broken.bin: this is not a file of plain tensors" in said and "needs CLIP as well" in said


@pytest.mark.parametrize("kind", NAMES)
def test_a_peek_sees_what_loading_finds(tmp_path, kind):
    context = 768 if "sd15" in NAMES[kind] else 64
    path = adapters(tmp_path, kind, context=context)[NAMES[kind]]
    loaded = weights.load(path)
    assert weights.peek(path) == (loaded.kind, loaded.context)
    flat = {
        f"{part}.{key}": v
        for part, state in adapter(kind, [64] * 3, context=context).items()
        for key, v in state.items()
    }
    other = tmp_path / Path(NAMES[kind]).with_suffix(".safetensors")
    save_file({key: value.contiguous() for key, value in flat.items()}, other)
    assert weights.peek(other) == (loaded.kind, loaded.context)
