"""The kinds of adapters: which a file is, and that each projection equals diffusers' own on the same tensors."""

import pytest
import torch
from adapter_files import NAMES, adapter
from diffusers.loaders.unet import UNet2DConditionLoadersMixin

from revpers_core.adapters import weights
from revpers_core.adapters.attention import AdapterModules
from revpers_core.adapters.clip import FaceVision
from revpers_core.adapters.kinds import KINDS
from revpers_core.method.identity import null_identity, together
from revpers_core.method.types import Identity

WIDTHS = (64, 64)
SD15, SDXL = 768, 2048


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def somebody(count=2, seed=3, **rest):
    features = 20 * random(count, 512, seed=seed) / 512**0.5
    length = features.norm(dim=-1)
    return Identity(features / length[:, None], length, torch.rand(count, 3, 224, 224), **rest)


def see(pixels):
    """A stand-in for CLIP: features that depend on every pixel."""
    return (pixels.flatten(1)[:, :257, None] + pixels.mean((1, 2, 3))[:, None, None]) * random(1, 257, 1280)


VISION = FaceVision(see)


def modules(kind, **rest):
    record = weights.from_state(adapter(kind, WIDTHS, **rest), kind)
    result = AdapterModules(record)
    result.load_state_dict(AdapterModules.state(record))
    return result.eval()


def reference(kind, identity):
    """diffusers' module on the file's tensors, fed as each kind's own pipeline feeds it."""
    state = adapter(kind, WIDTHS)["image_proj"]
    expected = UNet2DConditionLoadersMixin()._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    clip = VISION.features(identity)
    if kind == "plus-face":
        return expected(clip)
    if kind.startswith("faceid-plus"):
        expected.clip_embeds, expected.shortcut = clip[:, None], kind == "faceid-plusv2"
        return expected(identity.embedding)
    if kind in ("instantid", "faceid-portrait-unnorm"):
        return expected((identity.embedding * (1 if identity.length is None else identity.length[:, None]))[:, None])
    return expected(identity.embedding)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("identity", [somebody(), null_identity(1)], ids=["somebody", "nobody"])
@torch.no_grad()
def test_projections_equal_diffusers(kind, identity):
    ours, expected = modules(kind).tokens(identity, torch.zeros(()), VISION), reference(kind, identity)
    assert ours.shape == (len(identity.embedding), KINDS[kind].tokens, 64) == expected.shape
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_identities_are_told_apart_and_rows_are_their_own(kind):
    result, two = modules(kind), somebody()
    tokens = result.tokens(two, torch.zeros(()), VISION)
    assert (tokens[0] - tokens[1]).abs().max() > 1e-2
    for i in range(2):
        assert torch.equal(result.tokens(two.rows(slice(i, i + 1)), torch.zeros(()), VISION)[0], tokens[i])
    nobody = result.tokens(null_identity(1), torch.zeros(()), VISION)
    assert nobody.abs().max() > 0.1 and (nobody - tokens[:1]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_file_is_known_by_tensors_and_name(kind, tmp_path):
    context = SD15 if "sd15" in NAMES[kind] else 64
    torch.save(adapter(kind, WIDTHS, context=context), tmp_path / NAMES[kind])
    record = weights.load(tmp_path / NAMES[kind])
    assert (record.kind, record.slots, record.context) == (KINDS[kind], 2, context)


def test_51_tensors_as_published():
    assert len(adapter("instantid", WIDTHS)["image_proj"]) == 51
    plus = adapter("faceid-plusv2", WIDTHS)["image_proj"]
    assert len(plus) == 56


def test_the_user_may_say_the_kind_and_must_where_nothing_else_does(tmp_path):
    state = adapter("faceid-plus", WIDTHS)
    for chosen in ("faceid-plus", "faceid-plusv2"):
        assert weights.from_state(state, chosen).kind.shortcut == (chosen == "faceid-plusv2")
    torch.save(state, tmp_path / "renamed.bin")
    with pytest.raises(ValueError, match=r"renamed.bin: it may be faceid-plusv2 or faceid-plus.*choose the kind"):
        weights.load(tmp_path / "renamed.bin")
    assert weights.load(tmp_path / "renamed.bin", "faceid-plus").kind.name == "faceid-plus"
    with pytest.raises(ValueError, match="not of instantid"):
        weights.from_state(state, "instantid")
    with pytest.raises(ValueError, match="choose the kind"):
        weights.from_state(adapter("instantid", WIDTHS))
    # of Plus only v2 was made for SDXL
    assert weights.from_state(adapter("faceid-plus", (), context=SDXL) | {"ip_adapter": ip(SDXL)}).kind.shortcut


def ip(context):
    return adapter("faceid-plus", WIDTHS, context=context)["ip_adapter"]


def test_damaged_files_are_named_by_what_is_missing():
    state = adapter("instantid", WIDTHS)
    del state["image_proj"]["layers.2.0.to_kv.weight"]
    with pytest.raises(ValueError, match=r"not a whole instantid adapter \(no 'layers.2.0.to_kv.weight'\)"):
        weights.from_state(state, "instantid")
    state = adapter("faceid-portrait", WIDTHS)
    state["image_proj"]["proj.2.bias"] = torch.zeros(5)
    with pytest.raises(ValueError, match=r"no faceid-portrait adapter \(proj.2.bias is \(5,\)"):
        weights.from_state(state)


def test_what_cannot_be_read_is_refused_instead_of_leading_away_from_nobody():
    like = torch.zeros(())
    with pytest.raises(ValueError, match=r"instantid adapters understand .* antelopev2 .* read by w600k_r50"):
        modules("instantid").tokens(somebody(recogniser="w600k_r50"), like)
    with pytest.raises(ValueError, match=r"faceid adapters understand .* buffalo_l .* read by glintr100"):
        modules("faceid").tokens(somebody(recogniser="glintr100"), like)
    modules("instantid").tokens(somebody(recogniser="glintr100"), like)
    with pytest.raises(ValueError, match="length, which is not known"):
        modules("instantid").tokens(Identity(somebody().embedding), like)
    with pytest.raises(ValueError, match="connect or name its image encoder"):
        modules("faceid-plusv2").tokens(somebody(), like)
    with pytest.raises(ValueError, match="without a picture"):
        modules("plus-face").tokens(Identity(somebody().embedding), like, VISION)


def test_identities_together_and_in_part():
    two = somebody(recogniser="w600k_r50")
    one, other = two.rows(slice(0, 1)), two.rows(slice(1, 2))
    both = together([one, other])
    assert torch.equal(both.raw, two.raw) and torch.equal(both.face, two.face) and both.recogniser == "w600k_r50"
    assert together([one, Identity(other.embedding)]).length is None
    with pytest.raises(ValueError, match=r"Identity.face must be \('B', 3, 224, 224\)"):
        Identity(two.embedding, face=torch.zeros(2, 3, 112, 112))


CLIP = {"hidden_size": 1280, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 16}
CLIP |= {"patch_size": 14, "image_size": 224, "projection_dim": 32, "hidden_act": "gelu"}


@torch.no_grad()
def test_clip_from_a_folder_and_from_one_file(tmp_path, monkeypatch, offline):
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    from revpers_core.hosts import diffusers_vision

    torch.manual_seed(0)
    network = CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).eval()
    network.save_pretrained(tmp_path / "image_encoder")
    monkeypatch.setattr(diffusers_vision, "VIT_H", network.config)
    save_file(network.state_dict(), tmp_path / "clip.safetensors")
    identity = somebody(1)
    identity = Identity(identity.embedding, identity.length, (identity.face * 255).round() / 255)
    pixels = CLIPImageProcessor()(identity.face[0], return_tensors="pt", do_rescale=False).pixel_values
    golden = network(pixels, output_hidden_states=True).hidden_states[-2]
    empty = network(pixels * 0, output_hidden_states=True).hidden_states[-2]
    for name in ("image_encoder", "clip.safetensors"):
        vision = diffusers_vision.load_vision(tmp_path / name)
        assert (vision.features(identity) - golden).abs().max() < 1e-4 * golden.abs().max()
        assert (vision.features(null_identity(2)) - empty).abs().max() < 1e-5 * empty.abs().max()
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is not CLIP ViT-H's image encoder"):
        diffusers_vision.load_vision(tmp_path / "other.safetensors")


def test_vit_h_is_laions():
    from revpers_core.hosts.diffusers_vision import VIT_H

    with torch.device("meta"):
        from transformers import CLIPVisionModelWithProjection

        network = CLIPVisionModelWithProjection(VIT_H)
    assert sum(p.numel() for p in network.parameters()) == 632_076_800
