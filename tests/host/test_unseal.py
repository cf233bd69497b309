"""The way back through its box: bit for bit with the key, an error without it, and never by accident."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

KEY = "a sentence that nobody guesses"


def noise(seed: int) -> torch.Tensor:
    """A picture (1, 40, 60, 3) of 8 bits."""
    return torch.randint(0, 256, (1, 40, 60, 3), generator=torch.Generator().manual_seed(seed)).float() / 255


@pytest.fixture
def sealed(comfy: SimpleNamespace, base: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Two people's places changed in a picture, saved by the box with a way back for both."""
    monkeypatch.setattr(comfy.core("nodes.seal"), "check_made", lambda hidden: None)
    monkeypatch.setattr(comfy.core("nodes.seal"), "is_pocket_on_a_photo", lambda hidden: False)
    key = base / "key.txt"
    key.write_text(KEY)
    original = noise(0)
    result = original.clone()
    result[:, 5:25, 5:25] = noise(1)[:, 5:25, 5:25]
    result[:, 20:35, 30:50] = noise(2)[:, 20:35, 30:50]
    seal = comfy.nodes["RevPersSeal"]
    seal.execute(original=original, image=result, key_file=str(key), filename_prefix="unseal/one")
    path = max((base / "output" / "unseal").glob("one*.png"))
    with Image.open(path) as picture:
        loaded = torch.from_numpy(np.array(picture.convert("RGB")).astype(np.float32) / 255)[None]
    return SimpleNamespace(original=original, image=loaded, path=path.with_suffix(".sealed"), key=key, core=comfy.core)


def unsealed(comfy: SimpleNamespace, sealed: SimpleNamespace, **changes: Any) -> Any:
    given = {"image": sealed.image, "sealed_file": str(sealed.path), "key_file": str(sealed.key), **changes}
    return comfy.nodes["RevPersUnseal"].execute(**given).args


def test_the_original_comes_back_bit_for_bit(comfy: SimpleNamespace, sealed: SimpleNamespace) -> None:
    assert not torch.equal(sealed.image, sealed.original)
    image, names = unsealed(comfy, sealed)
    assert torch.equal(image, sealed.original) and names == "the rest"
    inside = f"unseal/{sealed.path.name}"
    assert torch.equal(unsealed(comfy, sealed, sealed_file=inside)[0], sealed.original), "in the output folder"


def test_only_who_is_named_comes_back(comfy: SimpleNamespace, sealed: SimpleNamespace) -> None:
    seal = sealed.core("revpers_core.media.seal")
    before, after = ((one[0].numpy() * 255).round().astype("uint8") for one in (sealed.original, sealed.image))
    places = [torch.zeros(1, 40, 60) for _ in range(2)]
    places[0][:, 5:25, 5:25] = 1
    places[1][:, 20:35, 30:50] = 1
    parts = seal.regions(before, after, places, ["face 1", "face 2"])
    seal.write(sealed.path, before, after, KEY.encode(), parts)
    image, names = unsealed(comfy, sealed, faces=" face 2 ,")
    assert names == "face 1, face 2, the rest"
    assert torch.equal(image[:, 20:35, 30:50], sealed.original[:, 20:35, 30:50])
    assert torch.equal(image[:, 5:20, 5:25], sealed.image[:, 5:20, 5:25])
    assert torch.equal(unsealed(comfy, sealed, faces="face 1, face 2")[0], sealed.original)
    with pytest.raises(ValueError, match="'face 3' is not in it, only face 1, face 2"):
        unsealed(comfy, sealed, faces="face 3")


def test_a_wrong_key_or_a_touched_file_or_picture_is_an_error(
    comfy: SimpleNamespace, sealed: SimpleNamespace, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("another sentence that is wrong")
    with pytest.raises(ValueError, match="the key is not the one it was made with"):
        unsealed(comfy, sealed, key_file=str(other))
    changed = sealed.image.clone()
    changed[0, 0, 0, 0] = 1 - changed[0, 0, 0, 0].round()
    with pytest.raises(ValueError, match="the picture is not the one"):
        unsealed(comfy, sealed, image=changed)
    content = bytearray(sealed.path.read_bytes())
    content[-20] ^= 1
    sealed.path.write_bytes(content)
    with pytest.raises(ValueError, match="or the file was changed"):
        unsealed(comfy, sealed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sealed_file": " "}, "sealed_file is empty"),
        ({"key_file": ""}, "key_file is empty"),
        ({"sealed_file": "nowhere.sealed"}, "the sealed file cannot be read"),
        ({"key_file": "nowhere.txt"}, "the key file nowhere.txt cannot be read"),
        ({"image": noise(0).repeat(2, 1, 1, 1)}, "2 pictures, but a sealed file is of one"),
    ],
)
def test_what_is_missing_is_said(comfy: SimpleNamespace, sealed: SimpleNamespace, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unsealed(comfy, sealed, **change)


def test_a_file_that_was_changed_is_read_again(comfy: SimpleNamespace, sealed: SimpleNamespace) -> None:
    fingerprint = comfy.nodes["RevPersUnseal"].fingerprint_inputs
    given = {"sealed_file": str(sealed.path), "key_file": str(sealed.key)}
    before = fingerprint(**given)
    assert before == fingerprint(**given)
    sealed.path.write_bytes(sealed.path.read_bytes() + b" ")
    assert fingerprint(**given) != before
    assert "is empty" in fingerprint(sealed_file="", key_file="")


def test_nobody_comes_back_into_an_anonymous_picture(comfy: SimpleNamespace) -> None:
    """The box's picture is never one of ours, even where a finished one goes in."""
    module = comfy.core("revpers_core.hosts.comfy_prompt")
    boxes = {
        "1": {"class_type": "RevPersAnonymizeFaces", "inputs": {}},
        "2": {"class_type": "RevPersUnseal", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "ImageScale", "inputs": {"image": ["2", 0]}},
    }
    prompt = SimpleNamespace(has_node=boxes.__contains__, get_node=boxes.__getitem__)
    assert [module.is_made(prompt, [name, 0], lambda node, number: "IMAGE") for name in boxes] == [True, False, False]
    inputs = comfy.nodes["RevPersUnseal"].define_schema().inputs
    assert {one.id: one.default for one in inputs if one.id.endswith("_file")} == {"sealed_file": "", "key_file": ""}
