"""What a prompt says of a picture: ways past our boxes are seen whatever the sockets in between are called."""

from types import SimpleNamespace
from typing import Any

import pytest

from revpers_core.hosts import comfy_prompt

TYPES = {
    "LoadImage": ("IMAGE", "MASK"),
    "LoadLatent": ("LATENT",),
    "LoadFolder": ("STRING", "IMAGE"),
    "LoadPicture": ("INT",),
    "RevPersPocketFace": ("IMAGE",),
    "RevPersLoadPocket": ("MODEL", "CLIP", "VAE"),
    "RevPersAnonymizeFaces": ("IMAGE", "MASK"),
    "ComfySwitchNode": ("COMFY_MATCHTYPE_V3",),
    "ImageBatch": ("IMAGE",),
    "ImageScale": ("IMAGE",),
    "ToPipe": ("BASIC_PIPE",),
    "FromPipe": ("MODEL", "IMAGE"),
    "VAEEncode": ("LATENT",),
    "VAEEncodeForInpaint": ("LATENT",),
    "KSampler": ("LATENT",),
    "LatentComposite": ("LATENT",),
    "LatentInterpolate": ("LATENT",),
    "ImageStitch": ("IMAGE",),
    "VAEDecode": ("IMAGE",),
    "NullIDInvertDPMPP": ("REVPERS_TRAJECTORY",),
    "NegativeIDGuidanceSampler": ("LATENT",),
}


def kind(name: str, number: int) -> str:
    types = TYPES[name]
    return types[number] if number < len(types) else "*"


def prompt(**nodes: tuple[str, dict[str, Any]]) -> SimpleNamespace:
    boxes = {key: {"class_type": name, "inputs": inputs} for key, (name, inputs) in nodes.items()}
    return SimpleNamespace(has_node=boxes.__contains__, get_node=boxes.__getitem__)


PHOTO, RESULT = ("LoadImage", {}), ("RevPersAnonymizeFaces", {"image": ["photo", 0]})


@pytest.mark.parametrize(
    "carrier",
    [
        ("ComfySwitchNode", {"switch": True, "on_false": ["result", 0], "on_true": ["photo", 0]}),
        ("ComfySwitchNode", {"switch": True, "on_true": ["photo", 0]}),
        ("FromPipe", {"pipe": ["pipe", 0]}),
    ],
)
def test_a_photo_that_comes_through_a_socket_of_any_type_is_seen(carrier):
    number = 1 if carrier[0] == "FromPipe" else 0
    boxes = prompt(
        photo=PHOTO, result=RESULT, carrier=carrier, pipe=("ToPipe", {"image": ["photo", 0]}),
        joined=("ImageBatch", {"image1": ["result", 0], "image2": ["carrier", number]}),
    )  # fmt: skip
    assert not comfy_prompt.is_made(boxes, ["joined", 0], kind)


@pytest.mark.parametrize("joins", ["LatentComposite", "LatentInterpolate", "ImageStitch"])
def test_a_photo_laid_over_a_result_afterwards_is_seen(joins):
    boxes = prompt(
        photo=PHOTO, latent=("VAEEncode", {"pixels": ["photo", 0]}),
        sampled=("NegativeIDGuidanceSampler", {}),
        joined=(joins, {"samples_to": ["sampled", 0], "samples_from": ["latent", 0]}),
        decoded=("VAEDecode", {"samples": ["joined", 0]}),
    )  # fmt: skip
    assert comfy_prompt.is_made(boxes, ["sampled", 0], kind) and not comfy_prompt.is_made(boxes, ["decoded", 0], kind)


def test_a_switch_of_numbers_or_of_results_does_not_spoil_a_result():
    boxes = prompt(
        photo=PHOTO, result=RESULT, number=("LoadPicture", {}),
        width=("ComfySwitchNode", {"switch": True, "on_true": ["number", 0]}),
        either=("ComfySwitchNode", {"on_true": ["result", 0], "on_false": ["result", 0]}),
        scaled=("ImageScale", {"image": ["either", 0], "width": ["width", 0]}),
    )  # fmt: skip
    assert comfy_prompt.is_made(boxes, ["scaled", 0], kind)


@pytest.mark.parametrize(("source", "number"), [("LoadImage", 0), ("LoadLatent", 0), ("LoadFolder", 1)])
def test_the_demo_is_marked_whatever_a_photo_comes_from(source, number):
    boxes = prompt(
        photo=(source, {}),
        pocket=("RevPersLoadPocket", {}),
        result=("RevPersAnonymizeFaces", {"image": ["photo", number], "model": ["pocket", 0]}),
    )
    assert comfy_prompt.is_pocket_on_a_photo(boxes, ["result", 0], kind)
    boxes.get_node("photo")["class_type"] = "RevPersPocketFace"
    assert not comfy_prompt.is_pocket_on_a_photo(boxes, ["result", 0], kind)


def test_the_four_boxes_on_a_rendered_face_are_no_photo():
    """The sampler's latent comes from a trajectory, which is no picture by its socket."""
    boxes = prompt(
        photo=("RevPersPocketFace", {}),
        pocket=("RevPersLoadPocket", {}),
        inverted=("NullIDInvertDPMPP", {"latent": ["photo", 0], "model": ["pocket", 0]}),
        result=("NegativeIDGuidanceSampler", {"trajectory": ["inverted", 0], "model": ["pocket", 0]}),
    )
    assert not comfy_prompt.is_pocket_on_a_photo(boxes, ["result", 0], kind)
    boxes.get_node("photo")["class_type"] = "LoadImage"
    assert comfy_prompt.is_pocket_on_a_photo(boxes, ["result", 0], kind)


def test_a_face_that_was_painted_over_is_seen_through_a_switch_but_not_behind_a_sampler():
    boxes = prompt(
        photo=PHOTO,
        pocket=("RevPersLoadPocket", {}),
        grey=("VAEEncodeForInpaint", {"pixels": ["photo", 0]}),
        switch=("ComfySwitchNode", {"switch": True, "on_true": ["grey", 0]}),
        sampled=("KSampler", {"latent": ["switch", 0], "model": ["pocket", 0]}),
    )
    assert comfy_prompt.is_greyed_out(boxes, ["switch", 0], kind)
    assert not comfy_prompt.is_greyed_out(boxes, ["sampled", 0], kind)
