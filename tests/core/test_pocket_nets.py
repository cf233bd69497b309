"""The pocket nets are SDXL's: their single file, loaded by diffusers' own converters, computes the same."""

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from revpers_core.adapters.weights import AdapterWeights
from revpers_core.lab.augment import face_input
from revpers_core.lab.nets import Denoiser, Prompts, load_denoiser, sdxl_state
from revpers_core.lab.world.factors import FACTORS
from revpers_core.pocket.vae import SCALING, VAE, bake
from revpers_core.pocket.vocabulary import TABLES, TEXT_G, TOKEN_IDS, expand_vocabulary

PROMPTS = ["", "old woman, dark skin, blond hair, smiling", "young man with a hat, bald"]
TEXT = dict(
    vocab_size=49408, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
    projection_dim=32, max_position_embeddings=77, bos_token_id=49406, eos_token_id=49407, pad_token_id=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def nets() -> tuple[Denoiser, VAE]:
    torch.manual_seed(0)
    model, vae = Denoiser(), VAE()
    with torch.no_grad():
        for module in (model, vae):
            for p in module.parameters():
                p += 0.05 * torch.randn_like(p)
    return model.eval(), vae.eval()


@pytest.fixture(scope="module")
def state(nets) -> dict[str, torch.Tensor]:
    model, vae = nets
    return {k: v if v.dtype == torch.int32 else v.float() for k, v in sdxl_state(model, vae).items()}


@pytest.fixture(scope="module")
def exported(nets, state) -> tuple[Denoiser, VAE]:
    return load_denoiser(state, nets[0].adapter.state_dict())


def agree(a: torch.Tensor, b: torch.Tensor) -> None:
    assert (a - b).abs().max() <= 1e-4 * b.abs().max().clamp_min(1)


@pytest.fixture(scope="module")
def unet(state) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 64, 128), layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=64,
        attention_head_dim=(2, 4, 8), transformer_layers_per_block=1, use_linear_projection=True, norm_num_groups=8,
        addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=32 + 1536,
    )  # fmt: skip
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(state), unet.config))
    return unet.eval()


@torch.no_grad()
def test_unet_is_diffusers(exported, unet):
    model, _ = exported
    x, text = torch.randn(2, 4, 16, 16), Prompts(torch.randn(2, 77, 64), torch.randn(2, 32))
    ids = torch.tensor([[128, 128, 0, 0, 128, 128]] * 2)
    t = torch.tensor([7, 801])
    expected = unet(x, t, text.context, added_cond_kwargs={"text_embeds": text.pooled, "time_ids": ids}).sample
    from revpers_core.lab.unet import label

    agree(model.unet(x, t, text.context, label(text.pooled, ids)), expected)


@torch.no_grad()
def test_adapter_is_h94s(exported, unet):
    """LoRA merged into diffusers' weights and its IP-Adapter processors give what the pocket adapter gives."""
    model, _ = exported
    flat = model.adapter.state_dict()
    parts = {
        p: {k.removeprefix(p + "."): v for k, v in flat.items() if k.startswith(p)}
        for p in ("image_proj", "ip_adapter")
    }
    weights = AdapterWeights(**parts)
    weights.check_fits(11, 64)
    from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

    from revpers_core.hosts.diffusers_unet import unet_slots

    before, values = dict(unet.attn_processors), {k: v.clone() for k, v in unet.state_dict().items()}
    for slot in unet_slots(unet):
        block = unet.get_submodule(slot.diffusers)
        for number, attention in ((1, block.attn1), (2, block.attn2)):
            for name in ("to_q", "to_k", "to_v", "to_out"):
                layer = attention.to_out[0] if name == "to_out" else getattr(attention, name)
                down, up = weights.lora(slot.number, number, name)
                layer.weight += up @ down
        width = block.attn2.to_q.weight.shape[0]
        processor = IPAdapterAttnProcessor2_0(width, 64, num_tokens=(4,), scale=1.0)
        k, v = weights.identity_projections(slot.number)
        processor.to_k_ip[0].weight.copy_(k), processor.to_v_ip[0].weight.copy_(v)
        block.attn2.set_processor(processor)
    x, text = torch.randn(2, 4, 16, 16), Prompts(torch.randn(2, 77, 64), torch.randn(2, 32))
    identity = torch.stack((torch.zeros(512), torch.randn(512)))
    tokens = model.adapter(identity)
    unet.encoder_hid_proj = _Passing()
    unet.config.encoder_hid_dim_type = "ip_image_proj"
    added = {
        "text_embeds": text.pooled,
        "time_ids": torch.tensor([[128, 128, 0, 0, 128, 128]] * 2),
        "image_embeds": [tokens],
    }
    expected = unet(x, torch.tensor([300, 300]), text.context, added_cond_kwargs=added).sample
    agree(model(x, torch.tensor([300, 300]), text, identity), expected)
    unet.encoder_hid_proj, unet.config.encoder_hid_dim_type = None, None
    unet.set_attn_processor(before)
    unet.load_state_dict(values)


class _Passing(nn.Module):
    def forward(self, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
        return [tokens[0][:, None]]


@torch.no_grad()
def test_vae_is_diffusers(exported, state):
    _, vae = exported
    expected = AutoencoderKL(
        block_out_channels=(16, 32, 64, 64), layers_per_block=1, latent_channels=4, norm_num_groups=8,
        scaling_factor=SCALING,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).eval()  # fmt: skip
    converted = convert_ldm_vae_checkpoint(dict(state), expected.config)
    shapes = {k: v.shape for k, v in expected.state_dict().items()}
    expected.load_state_dict({k: v.view(shapes[k]) for k, v in converted.items()})
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    z = expected.encode(x).latent_dist.mode()
    agree(vae.encode(x), z)
    agree(vae.decode(z), expected.decode(z).sample)


@torch.no_grad()
def test_text_encoders_are_transformers(exported, state):
    model, _ = exported
    full = expand_vocabulary(state)
    first = CLIPTextModel(CLIPTextConfig(**TEXT, hidden_act="quick_gelu")).eval()
    second = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, hidden_act="gelu")).eval()
    _load(first, convert_ldm_clip_checkpoint(full))
    _load(second, convert_open_clip_checkpoint(second, full, prefix=TEXT_G))
    tokens = model.vocabulary.tokens(PROMPTS)
    tokens_g = tokens.clone()
    for row in tokens_g:
        row[int((row == 49407).int().argmax()) + 1 :] = 0
    hidden = first(tokens, output_hidden_states=True).hidden_states[-2]
    expected = second(tokens_g, output_hidden_states=True)
    text = model.prompts(PROMPTS)
    agree(text.context, torch.cat((hidden, expected.hidden_states[-2]), -1))
    agree(text.pooled, expected.text_embeds)


def _load(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Whether or not this version of transformers keeps the text model under a name of its own."""
    bare = {k.removeprefix("text_model."): v for k, v in state.items()}
    names = {k: k.removeprefix("text_model.") for k in model.state_dict() if "position_ids" not in k}
    model.load_state_dict({k: bare[name] for k, name in names.items()}, strict=False)


@torch.no_grad()
def test_baking_fits_the_latents_and_changes_no_picture(nets):
    vae = VAE()
    vae.load_state_dict(nets[1].state_dict())
    x = torch.rand(3, 3, 64, 64) * 2 - 1
    z = vae.encode(x)
    picture, logvar = vae.decode(z), vae.moments(x)[1]
    std = z.std((0, 2, 3))
    bake(vae, z.mean((0, 2, 3)), std)
    fitted = vae.encode(x)
    agree(fitted.mean((0, 2, 3)) * SCALING, torch.zeros(4))
    agree(fitted.std((0, 2, 3)) * SCALING, torch.ones(4))
    agree(vae.decode(fitted), picture)
    agree(vae.moments(x)[1], logvar - 2 * (std * SCALING).log()[:, None, None])


def test_expanded_vocabulary_has_the_words_and_one_row_for_all_others(state):
    ids = state[TOKEN_IDS].long()
    full = expand_vocabulary(state)
    assert TOKEN_IDS not in full and TOKEN_IDS in state
    for key in TABLES:
        assert full[key].shape == (49408, 32)
        assert torch.equal(full[key][ids], state[key][:-1])
        others = torch.ones(49408, dtype=torch.bool)
        others[ids] = False
        assert (full[key][others] == state[key][-1]).all()
    assert set(full) == set(state) - {TOKEN_IDS}


def test_face_input_carries_ffhqs_points_to_arcfaces():
    image = torch.zeros(1, 3, 512, 512)
    image[..., 237:244, 190:197] = 1
    y, x = (face_input(image)[0, 0] == face_input(image).max()).nonzero().float().mean(0).tolist()
    assert abs(x + 0.5 - 38.3) < 1.5 and abs(y + 0.5 - 51.7) < 1.5


def test_regressors_speak_the_worlds_units():
    from revpers_core.lab.recognisers import UNITS

    assert len(UNITS) == len(FACTORS) and all(u > 1 for u in UNITS[6:9])
