"""SD 1.5 in the diffusers host, v-prediction, zero terminal SNR, and which checkpoints are refused by name."""

import json

import pytest
import torch
from adapter_files import adapter
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from sd15_files import SMALL, WIDTHS, original_unet, randomised
from transformers import CLIPTextConfig, CLIPTextModel

from revpers_core.adapters import weights
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.hosts.diffusers_files import SD15_CONFIG, single_file, tokenizers
from revpers_core.hosts.diffusers_unet import unet_slots
from revpers_core.method.anonymize import invert_image, sample_image
from revpers_core.method.identity import null_identity
from revpers_core.method.schedule import sdxl_sigmas
from revpers_core.method.types import Attribute, Identity, Method, Plan

PLAN = Plan(6, 0.5, -3.0, 7, at_once=1)
TEXT = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_our_configuration_is_sd15s():
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SD15_CONFIG, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(SD15_CONFIG, subfolder="vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(SD15_CONFIG / "text_encoder"))
    assert (parameters(unet), parameters(vae), parameters(text)) == (859_520_964, 83_653_863, 123_060_480)
    assert vae.config.scaling_factor == 0.18215 and unet.config.sample_size * 8 == 512
    table = unet_slots(unet)
    assert len(table) == 16 and table[15].diffusers == "mid_block.attentions.0.transformer_blocks.0"
    assert (table[0].ldm, table[15].ldm) == (
        "input_blocks.1.1.transformer_blocks.0",
        "middle_block.1.transformer_blocks.0",
    )
    assert {unet.get_submodule(slot.diffusers).attn2.heads for slot in table} == {8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small SD 1.5 as a diffusers folder."""
    from diffusers import EulerDiscreteScheduler

    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(
        {**UNet2DConditionModel.load_config(SD15_CONFIG, subfolder="unet"), **SMALL}
    )
    small = {"block_out_channels": [8] * 4, "norm_num_groups": 8, "layers_per_block": 1}
    vae = AutoencoderKL.from_config({**AutoencoderKL.load_config(SD15_CONFIG, subfolder="vae"), **small})
    config = json.loads((SD15_CONFIG / "text_encoder" / "config.json").read_text()) | TEXT
    text = CLIPTextModel(CLIPTextConfig(**config))
    scheduler = EulerDiscreteScheduler.from_pretrained(SD15_CONFIG, subfolder="scheduler")
    pipe = StableDiffusionPipeline(
        vae=randomised(vae, 1), text_encoder=randomised(text, 2), unet=randomised(unet, 3), scheduler=scheduler,
        tokenizer=tokenizers()["tokenizer"], safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("sd15")
    pipe.save_pretrained(place)
    return place


class Reader:
    """A recogniser's part: coarse pixels."""

    def embed(self, image):
        features = torch.nn.functional.adaptive_avg_pool2d(image, 13).flatten(1)[:, :507]
        features = torch.nn.functional.pad(features - features.mean(1, keepdim=True), (0, 5))
        return Identity(torch.nn.functional.normalize(features))


def small(folder, kind="faceid", **scheduler):
    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.scheduler = pipe.scheduler.from_config({**pipe.scheduler.config, **scheduler})
    return ReversePersonalizationPipeline(pipe, weights.from_state(adapter(kind, WIDTHS), kind), Reader())


def photo():
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_nobody_comes_back_and_somebody_changes(folder, prediction):
    pipe = small(folder, prediction_type=prediction)
    assert pipe.size == 128 and pipe.v_prediction == (prediction == "v_prediction")
    path = invert_image(photo(), pipe, PLAN)
    same, result = (sample_image(path, identity, pipe, PLAN) for identity in (null_identity(1), pipe.embed(photo())))
    assert (same - pipe.decode(path.x0)).abs().max() < 1e-5
    assert (result - same).abs().max() > 1e-3
    old = sample_image(path, null_identity(1), pipe, Plan(6, 0.5, -3.0, 7, Attribute(age="old")))
    assert (old - same).abs().max() > 1e-4


def test_without_words_both_branches_read_the_encoded_empty_prompt(folder):
    """SD 1.5 knows no zero prompt, which is SDXL's."""
    conditions = small(folder).conditions(null_identity(1), torch.zeros(1, 4, 16, 16), "")
    assert torch.equal(conditions.embeds[0], conditions.embeds[1]) and conditions.embeds.abs().max() > 0.1
    assert conditions.pooled is None and conditions.time_ids is None


def test_nullface_is_towards_the_opposite_and_keeps_what_the_mask_says(folder):
    pipe = small(folder)
    path, identity = invert_image(photo(), pipe, PLAN), pipe.embed(photo())
    nullface = Plan(6, 0.5, -3.0, 7, method=Method.NULLFACE)
    away = Identity(-identity.embedding)
    by_hand = sample_image(path, away, pipe, Plan(6, 0.5, 3.0, 7))
    assert torch.equal(sample_image(path, identity, pipe, nullface), by_hand)
    masked = pipe.sample(path, identity, nullface)
    assert (masked - by_hand).abs().max() > 1e-4
    still = sample_image(path, identity, pipe, nullface, where=torch.zeros(1, 1, 16, 16))
    assert (still - pipe.decode(path.x0)).abs().max() < 1e-5
    with pytest.raises(ValueError, match="nullface leads away from what stands in the unconditional branch"):
        sample_image(path, identity, pipe, Plan(6, 0.5, -3.0, 7, Attribute(age="old"), method=Method.NULLFACE))


@torch.no_grad()
def test_a_single_file_is_the_folders_unet(folder, tmp_path, offline):
    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    state = original_unet(pipe.unet.state_dict())
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    converted = convert_ldm_unet_checkpoint(dict(state), pipe.unet.config)
    expected = pipe.unet.state_dict()
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[key], expected[key]) for key in expected)


REFINER = {
    "model.diffusion_model.label_emb.0.0.weight": (1, 1),
    "conditioner.embedders.0.model.positional_embedding": (1,),
}
SD2 = {"cond_stage_model.model.positional_embedding": (1,)}
SD15 = {"cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (1,)}
CONV = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (REFINER, "is SDXL's refiner: load one such as sd_xl_base"),
        (SD2, "is SD 2: load"),
        (SD15 | {CONV: (320, 9, 3, 3)}, r"is an inpainting checkpoint \(its UNet takes 9 channels"),
        (SD15 | {CONV: (320, 8, 3, 3)}, "is an InstructPix2Pix checkpoint"),
        ({"x": (1,)}, "is not a whole SDXL or SD 1.5 checkpoint"),
    ],
)
def test_other_checkpoints_are_refused_by_name(shapes, words, tmp_path):
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=rf"model.safetensors {words}"):
        single_file(tmp_path / "model.safetensors")


def test_an_inpainting_folder_is_refused_by_name(folder):
    from types import SimpleNamespace

    from revpers_core.hosts.diffusers_files import check_pipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    check_pipeline(pipe)
    pipe.unet.register_to_config(in_channels=9)
    with pytest.raises(ValueError, match="an inpainting checkpoint"):
        check_pipeline(pipe)
    with pytest.raises(ValueError, match=r"expected SDXL or SD 1.5, got a SimpleNamespace"):
        check_pipeline(SimpleNamespace())


def test_zero_terminal_snr_is_the_papers_algorithm(folder):
    """Against the formulas of arXiv:2305.08891, algorithm 1, on the betas."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    root = (1 - betas).cumprod(0).sqrt()
    first, last = root[0].clone(), root[-1].clone()
    root = (root - last) * first / (first - last)
    levels = torch.tensor(sdxl_sigmas(zero_terminal_snr=True), dtype=torch.float64)
    assert ((levels[:-1] ** 2 + 1) * root[:-1] ** 2 - 1).abs().max() < 1e-9
    assert 4000 < levels[-1] < 5000 and levels[0] == pytest.approx(sdxl_sigmas()[0], rel=1e-9)
    pipe = small(folder, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    assert pipe.levels == levels.tolist()
    path = invert_image(photo(), pipe, Plan(6, 0.0, -3.0, 7, at_once=1))
    same = sample_image(path, null_identity(1), pipe, Plan(6, 0.0, -3.0, 7))
    assert path.sigmas[0] > 4000 and (same - pipe.decode(path.x0)).abs().max() < 1e-5
