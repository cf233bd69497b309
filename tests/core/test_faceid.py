"""The adapter: which weight belongs to which attention, and which files are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from revpers_core.adapters import weights
from revpers_core.adapters.attention import AdapterModules
from revpers_core.adapters.layout import SDXL, Depths, slots

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
ADAPTER = GOLDEN / "faceid_adapter.safetensors"
PARTS = ("image_proj", "ip_adapter")


def parts(flat):
    return {p: {k.removeprefix(p + "."): v for k, v in flat.items() if k.startswith(p)} for p in PARTS}


def test_sdxl_has_seventy_slots_in_the_order_of_the_file():
    table = slots(SDXL)
    down = [("input", b, t) for b, depth in ((4, 2), (5, 2), (7, 10), (8, 10)) for t in range(depth)]
    up = [("output", b, t) for b, depth in ((0, 10), (1, 10), (2, 10), (3, 2), (4, 2), (5, 2)) for t in range(depth)]
    assert [slot.block for slot in table] == down + up + [("middle", 0, t) for t in range(10)]
    assert [slot.number for slot in table] == list(range(70))
    assert table[0].diffusers == "down_blocks.1.attentions.0.transformer_blocks.0"
    assert table[23].diffusers == "down_blocks.2.attentions.1.transformer_blocks.9"
    assert table[24].diffusers == "up_blocks.0.attentions.0.transformer_blocks.0"
    assert table[59].diffusers == "up_blocks.1.attentions.2.transformer_blocks.1"
    assert table[69].diffusers == "mid_block.attentions.0.transformer_blocks.9"
    assert (table[0].ldm, table[69].ldm) == (
        "input_blocks.4.1.transformer_blocks.0",
        "middle_block.1.transformer_blocks.9",
    )


def test_the_golden_models_order():
    """As diffusers numbers its processors: the list was written by the paper's own code."""
    names = json.loads((GOLDEN / "tiny_sdxl" / "attn_order.json").read_text())
    table = slots(Depths(((0,), (1,), (2,)), 2, ((2, 2), (1, 1), (0, 0))))
    assert [f"{slot.diffusers}.attn{n}.processor" for slot in table for n in (1, 2)] == names


def numbered(count: int, context: int = 8) -> dict[str, dict[str, torch.Tensor]]:
    """An adapter whose every tensor holds its own number, keys in the lexicographic order that files may have."""
    proj = {"proj.0.weight": torch.zeros(3, 512), "proj.0.bias": torch.zeros(3)}
    proj |= {"proj.2.weight": torch.zeros(4 * context, 3), "proj.2.bias": torch.zeros(4 * context)}
    proj |= {"norm.weight": torch.ones(context), "norm.bias": torch.zeros(context)}
    ip = {}
    for n in range(2 * count):
        for p in weights.PROJECTIONS:
            ip |= {f"{n}.{p}_lora.{d}.weight": torch.full((1, 1), float(n)) for d in ("down", "up")}
        if n % 2:
            ip |= {f"{n}.to_{x}_ip.weight": torch.full((2, context), float(n)) for x in "kv"}
    return {"image_proj": proj, "ip_adapter": dict(sorted(ip.items()))}


def test_numbers_are_numbers():
    """Sorted as text, 11 comes before 3: SDXL has numbers up to 139."""
    adapter = weights.from_state(numbered(70))
    assert adapter.slots == 70
    state = AdapterModules.state(adapter)
    for i in range(70):
        assert adapter.identity_projections(i)[1].unique().item() == 2 * i + 1
        assert state[f"kv.{i}.to_k.weight"].unique().item() == 2 * i + 1
        assert [adapter.lora(i, a, "to_q")[0].item() for a in (1, 2)] == [2 * i, 2 * i + 1]


def test_bin_and_safetensors_are_the_same(tmp_path):
    flat = load_file(ADAPTER)
    torch.save(parts(flat), tmp_path / "adapter.bin")
    one, other = weights.load(tmp_path / "adapter.bin"), weights.load(ADAPTER)
    for part in PARTS:
        ours, expected = getattr(one, part), getattr(other, part)
        assert ours.keys() == expected.keys() and len(ours) > 0
        assert all(torch.equal(ours[key], expected[key]) for key in ours)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path(__file__).parent / "executed",))


def refused(tmp_path, state, words, name="adapter.bin"):
    torch.save(state, tmp_path / name)
    with pytest.raises(ValueError, match=words) as caught:
        weights.load(tmp_path / name)
    assert name in str(caught.value)


def test_wrong_files_are_refused(tmp_path):
    good = parts(load_file(ADAPTER))
    refused(tmp_path, {"state_dict": {}}, "not an IP-Adapter")
    refused(tmp_path, [1, 2], "not an IP-Adapter")
    refused(tmp_path, {"image_proj": {}, "ip_adapter": {}}, "not an IP-Adapter")
    plain = {k: v for k, v in good["ip_adapter"].items() if "_ip" in k}
    refused(tmp_path, {**good, "ip_adapter": plain}, "LoRA")
    refused(tmp_path, {**good, "image_proj": {"proj.weight": torch.zeros(4, 4)}}, "not an adapter for faces")
    clip = {**good["image_proj"], "proj.0.weight": torch.zeros(3, 1280)}
    refused(tmp_path, {**good, "image_proj": clip}, "512-d identities, this one 1280-d")
    more = {**good["image_proj"], "proj.2.weight": torch.zeros(16 * 64, 128)}
    refused(tmp_path, {**good, "image_proj": more}, "4 identity tokens")
    save_file({"weight": torch.zeros(2)}, tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match=r"lora.safetensors: .*not an IP-Adapter"):
        weights.load(tmp_path / "lora.safetensors")


def test_pickles_that_run_code_are_refused_unrun(tmp_path):
    refused(tmp_path, {"image_proj": Malicious(), "ip_adapter": {}}, "plain tensors")
    assert not (Path(__file__).parent / "executed").exists()


def test_damaged_files_are_refused(tmp_path):
    for name in ("adapter.bin", "adapter.safetensors"):
        (tmp_path / name).write_bytes(b"not a file of weights at all")
        with pytest.raises(ValueError, match=name):
            weights.load(tmp_path / name)


def test_an_adapter_of_sd15_does_not_fit_sdxl():
    adapter = weights.from_state(numbered(16, context=768))
    with pytest.raises(ValueError, match=r"SD 1.5 .16 attention blocks of width 768., but the model is SDXL .70 "):
        adapter.check_fits(70, 2048)
    weights.from_state(numbered(70, context=2048)).check_fits(70, 2048)
