"""SDXL from local files: our configurations are its own, and a single file is the same model as a diffusers folder."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from revpers_core.hosts import diffusers_files
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.hosts.diffusers_files import POCKET_CONFIG, SDXL_CONFIG, pocket_sdxl, single_file, tokenizers
from revpers_core.hosts.diffusers_unet import unet_slots
from revpers_core.method.anonymize import invert_image
from revpers_core.method.types import Attribute, Plan


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_our_configuration_is_sdxls():
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SDXL_CONFIG, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(SDXL_CONFIG, subfolder="vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(SDXL_CONFIG / "text_encoder"))
        text_2 = CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(SDXL_CONFIG / "text_encoder_2"))
    assert parameters(unet) == 2_567_463_684
    assert parameters(vae) == 83_653_863
    assert parameters(text) == 123_060_480
    assert parameters(text_2) == 694_659_840
    table = unet_slots(unet)
    assert len(table) == 70 and unet.config.cross_attention_dim == 2048
    widths = [unet.get_submodule(slot.diffusers).attn2.to_k.out_features for slot in table]
    assert widths == [640] * 4 + [1280] * 20 + [1280] * 30 + [640] * 6 + [1280] * 10
    heads = {w: unet.get_submodule(s.diffusers).attn2.heads for s, w in zip(table, widths, strict=True)}
    assert heads == {640: 10, 1280: 20}


def test_tokenizers_are_sdxls(offline):
    both = tokenizers()
    rows = {n: t("a photo of a woman", padding="max_length").input_ids for n, t in both.items()}
    assert rows["tokenizer"] == [49406, 320, 1125, 539, 320, 2308, *[49407] * 71]
    assert rows["tokenizer_2"] == [49406, 320, 1125, 539, 320, 2308, 49407, *[0] * 70]


def anonymous(pipeline):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    plan = Plan(4, 0.5, -3.0, 7, Attribute(age="old", sex="woman"))
    return pipeline.sample(invert_image(image, pipeline, plan), pipeline.embed(image), plan)


def test_a_single_file_is_the_folders_model(miniature, random_files, offline):
    face_model = random_files / "pocket_arcface.onnx"
    adapter = random_files / "pocket_faceid.safetensors"
    file = ReversePersonalizationPipeline.from_single_file(
        miniature / "mini.safetensors", miniature / "adapter.bin", face_model, config=miniature / "folder"
    )
    folder = ReversePersonalizationPipeline.from_pretrained(miniature / "saved", adapter, face_model)
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        ours, expected = (getattr(p.sdxl, name).state_dict() for p in (file, folder))
        assert ours.keys() == expected.keys()
        assert all(torch.equal(ours[key], expected[key]) for key in ours), name
    assert not file.v_prediction
    one, other = anonymous(file), anonymous(folder)
    assert torch.equal(one, other) and one.std() > 0.01


def test_a_files_v_prediction_is_seen(miniature, random_files, offline):
    state = load_file(miniature / "mini.safetensors")
    save_file({**state, "v_pred": torch.zeros(0)}, miniature / "v.safetensors")
    arguments = (random_files / "pocket_faceid.safetensors", random_files / "pocket_arcface.onnx")
    pipelines = [
        ReversePersonalizationPipeline.from_single_file(miniature / name, *arguments, config=miniature / "folder")
        for name in ("v.safetensors", "mini.safetensors")
    ]
    assert [p.v_prediction for p in pipelines] == [True, False]
    assert not torch.equal(*map(anonymous, pipelines))


def test_half_precision_keeps_the_vae_whole(miniature, random_files, offline):
    pipeline = ReversePersonalizationPipeline.from_single_file(
        miniature / "mini.safetensors",
        random_files / "pocket_faceid.safetensors",
        random_files / "pocket_arcface.onnx",
        config=miniature / "folder",
        dtype=torch.bfloat16,
    )
    assert pipeline.sdxl.unet.dtype == torch.bfloat16
    assert {p.dtype for p in pipeline.sdxl.vae.parameters()} == {torch.float32}
    assert torch.isfinite(anonymous(pipeline)).all()


def test_other_files_are_refused(miniature, tmp_path, offline):
    state = load_file(miniature / "mini.safetensors")
    unet = {k: v for k, v in state.items() if k.startswith("model.diffusion_model.")}
    sd15 = {k: v for k, v in state.items() if "label_emb" not in k}
    for name, content, words in [
        ("unet.safetensors", unet, r"not a whole SDXL or SD 1.5 checkpoint"),
        ("sd15.safetensors", sd15, "label_emb"),
    ]:
        save_file(content, tmp_path / name)
        with pytest.raises(ValueError, match=words) as caught:
            single_file(tmp_path / name)
        assert name in str(caught.value)
    (tmp_path / "page.safetensors").write_text("<html>404</html>" * 9)
    with pytest.raises(ValueError, match=r"page\.safetensors cannot be read"):
        single_file(tmp_path / "page.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        single_file("stabilityai/stable-diffusion-xl-base-1.0")


@torch.no_grad()
def test_the_pocket_model_is_what_was_trained(random_pocket, offline):
    """Both text encoders in their own places, and the UNet's answer, against the nets that training uses."""
    from revpers_core.lab.nets import Prompts, load_denoiser

    sdxl = pocket_sdxl()
    files = (random_pocket / f"pocket_{name}.safetensors" for name in ("sdxl", "faceid"))
    model, vae = load_denoiser(*map(load_file, files))
    prompts = ["", "old woman, dark skin, blond hair"]
    embeds, _, pooled, _ = sdxl.encode_prompt(prompts, device="cpu", do_classifier_free_guidance=False)
    ours = model.prompts(prompts)
    assert (embeds - ours.context).abs().max() < 1e-4 * ours.context.abs().max()
    assert (pooled - ours.pooled).abs().max() < 1e-4 * ours.pooled.abs().max()
    pipeline = ReversePersonalizationPipeline.from_pocket()
    x, t = torch.randn(1, 4, 16, 16).double(), 300
    somebody = pipeline.embed(torch.rand(1, 3, 128, 128))
    sigma = pipeline.sigma(t)
    uncond, cond = pipeline.branches(somebody, x, prompts[1])(x, sigma)
    fed = (x / (1 + sigma**2) ** 0.5).float()
    for branch, row, identity in ((uncond, 1, somebody.embedding * 0), (cond, 0, somebody.embedding)):
        text = Prompts(ours.context[row : row + 1], ours.pooled[row : row + 1])
        expected = x - sigma * model(fed, torch.tensor([t]), text, identity)
        assert (branch - expected).abs().max() < 1e-4 * expected.abs().max()
    picture = torch.rand(1, 3, 128, 128)
    expected = (vae.decode(vae.encode(picture * 2 - 1)) / 2 + 0.5).clamp(0, 1)
    assert (pipeline.decode(pipeline.encode(picture)) - expected).abs().max() < 1e-3


def test_configurations_are_whole():
    for folder in (SDXL_CONFIG, POCKET_CONFIG):
        parts = json.loads((folder / "model_index.json").read_text())
        for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
            assert name in parts and (folder / name / "config.json").is_file()
    assert diffusers_files.SDXL_CONFIG.joinpath("tokenizer", "vocab.json").is_file()
