"""Who comes instead, through the boxes: the pocket model on a rendered face."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

STRANGER, NOBODY, KEY, PICTURE = "a stranger by seed", "nobody", "the same stranger by key", "this picture"


@pytest.fixture(scope="module")
def desk(comfy: SimpleNamespace) -> SimpleNamespace:
    """The loaded pocket model, a face taken apart in a few steps, and who it is."""
    nodes = comfy.nodes
    with torch.inference_mode():
        model, clip, vae, adapter, face_model = nodes["RevPersLoadPocket"].execute().args
        faces = {n: nodes["RevPersPocketFace"].execute(person=n, photo=0).args[0] for n in (3, 8)}
        words = nodes["AttributePrompt"].execute(clip=clip, age="any", sex="any", look="", text="")
        positive, attribute = words.args
        latent = {"samples": vae.encode(faces[3])}
        path = nodes["NullIDInvertDPMPP"].execute(model, adapter, positive, latent, 4, 0.6, 0)
        identity = nodes["FaceIDEmbed"].execute(face_model=face_model, image=faces[3], scale=1.0)
    given = {"model": model, "adapter": adapter, "attribute": attribute, "guidance": -4.0}
    given |= {"identity": identity.args[0], "trajectory": path.args[0]}
    return SimpleNamespace(nodes=nodes, core=comfy.core, given=given, face_model=face_model, faces=faces)


def sampled(desk: SimpleNamespace, **more: Any) -> torch.Tensor:
    with torch.inference_mode():
        return desk.nodes["NegativeIDGuidanceSampler"].execute(**desk.given, **more).args[0]["samples"]


def pseudonym(desk: SimpleNamespace, choice: str, **more: Any) -> Any:
    given = {"person": 0, "key": "", "length": 1.0, **more}
    with torch.inference_mode():
        return desk.nodes["RevPersPseudonym"].execute(who=choice, **given).args


def test_old_workflows_give_what_they_gave_and_new_boxes_a_stranger(desk: SimpleNamespace) -> None:
    old = sampled(desk)
    assert torch.equal(old, sampled(desk, who=NOBODY))
    assert (old - sampled(desk, who=STRANGER)).abs().max() > 0.05
    for name in ("NegativeIDGuidanceSampler", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo"):
        inputs = desk.nodes[name].define_schema().inputs
        widgets = [one.id for one in inputs]
        first = widgets.index("instead")
        assert widgets[first : first + 3] == ["instead", "who", "person"]
        assert {"no_face", "method", "match_colour", "allow_unchanged"}.isdisjoint(widgets[first:]), (
            "before what is new"
        )
        assert {one.id: one.default for one in inputs if one.id == "who"} == {"who": STRANGER}


def test_a_new_box_keeps_the_noise_and_draws_the_person_anew(desk: SimpleNamespace) -> None:
    """Where ComfyUI can be told so: another noise would invert anew each time."""
    from comfy_api.latest import io

    fixed = io.ControlAfterGenerate.fixed if hasattr(io, "ControlAfterGenerate") else True
    for name in ("NullIDInvertDPMPP", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo"):
        inputs = {one.id: one for one in desk.nodes[name].define_schema().inputs}
        assert inputs["seed"].control_after_generate == fixed
        assert "person" not in inputs or inputs["person"].control_after_generate is True


def test_nobody_comes_instead_under_the_papers_preset_unless_connected(desk: SimpleNamespace) -> None:
    recipe_of = desk.core("nodes.pseudonym").recipe_of
    assert recipe_of(None, STRANGER, 3).kind == STRANGER == recipe_of(None, STRANGER, 3, preset="balanced").kind
    assert recipe_of(None, STRANGER, 3, preset="paper").kind == NOBODY
    keyed = pseudonym(desk, KEY, key="a long secret sentence")[0]
    assert recipe_of(keyed, STRANGER, 3, preset="paper") is keyed


def test_a_trajectory_knows_its_preset_so_that_the_sampler_does(desk: SimpleNamespace) -> None:
    from_preset = {**desk.given, "trajectory": desk.given["trajectory"]._replace(preset="paper")}
    paper = SimpleNamespace(nodes=desk.nodes, given=from_preset)
    assert torch.equal(sampled(paper, who=STRANGER, person=1), sampled(desk, who=NOBODY))
    assert not torch.equal(sampled(desk, who=STRANGER, person=1), sampled(desk, who=NOBODY))
    keyed = pseudonym(desk, KEY, key="a long secret sentence")[0]
    assert torch.equal(sampled(paper, instead=keyed), sampled(desk, instead=keyed))
    given = {name: desk.given[name] for name in ("model", "adapter")}
    latent = desk.given["trajectory"].latent
    with torch.inference_mode():
        path = desk.nodes["NullIDInvertDPMPP"].execute(
            **given, positive=desk.given["trajectory"].positive, latent=latent, preset="instant"
        )
    assert path.args[0].preset == "instant" and path.args[0].path.steps == 6


def test_another_person_seed_is_another_result_along_one_inversion(desk: SimpleNamespace) -> None:
    one, same, other = (sampled(desk, who=STRANGER, person=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same) and (one - other).abs().max() > 0.05


def test_what_is_connected_counts(desk: SimpleNamespace) -> None:
    instead, identity = pseudonym(desk, KEY, key="a long secret sentence")
    keyed = sampled(desk, instead=instead, who=STRANGER, person=5)
    assert torch.equal(keyed, sampled(desk, instead=pseudonym(desk, KEY, key="a long secret sentence")[0]))
    assert (keyed - sampled(desk, instead=pseudonym(desk, KEY, key="another secret sentence")[0])).abs().max() > 0.05
    assert identity.embedding.shape == (1, 512)
    zero = pseudonym(desk, KEY, key="a long secret sentence", length=0.0)[0]
    assert torch.allclose(sampled(desk, instead=zero), sampled(desk, who=NOBODY), atol=1e-5)
    assert torch.equal(sampled(desk, instead=pseudonym(desk, NOBODY)[0]), sampled(desk, who=NOBODY))


def test_a_picture_of_somebody_comes_instead_but_never_of_the_person(desk: SimpleNamespace) -> None:
    pictured, seen = pseudonym(desk, PICTURE, image=desk.faces[8], face_model=desk.face_model)
    assert torch.equal(sampled(desk, instead=pictured), sampled(desk, instead=seen))
    itself, _ = pseudonym(desk, PICTURE, image=desk.faces[3], face_model=desk.face_model)
    with pytest.raises(ValueError, match="looks like the person"):
        sampled(desk, instead=itself)
    with pytest.raises(ValueError, match="needs 'image' and 'face_model'"):
        pseudonym(desk, PICTURE)


@pytest.mark.parametrize(("key", "said"), [("", "the key is empty"), ("short", "only 5 bytes long")])
def test_a_key_that_can_be_guessed_is_refused(desk: SimpleNamespace, key: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pseudonym(desk, KEY, key=key)


def test_a_result_is_saved_with_a_way_back_for_the_chosen_alone(
    desk: SimpleNamespace, base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from PIL import Image

    node, seal = desk.nodes["RevPersSeal"], desk.core("revpers_core.media.seal")
    monkeypatch.setattr(desk.core("nodes.seal"), "check_made", lambda hidden: None)
    monkeypatch.setattr(desk.core("nodes.seal"), "is_pocket_on_a_photo", lambda hidden: False)
    original, key = desk.faces[3], base / "key.txt"
    key.write_text("a sentence that nobody guesses")
    result, left = original.clone(), torch.zeros(original.shape[:3])
    result[:, 40:80] = 0
    left[:, :, :64] = 1
    given = {"original": original, "image": result, "key_file": str(key)}
    node.execute(**given, filename_prefix="whole")
    node.execute(**given, filename_prefix="half", mask=left)
    source = (original[0].numpy() * 255).round().astype("uint8")
    for name, back in (("whole", slice(0, 128)), ("half", slice(0, 64))):
        (path,) = (base / "output").glob(f"{name}*.png")
        with Image.open(path) as picture:
            restored = seal.unseal(seal.sealed_path(path), seal.pixels(picture), key.read_bytes())
            assert not picture.info
        assert np.array_equal(restored[:, back], source[:, back])
        assert name == "whole" or not restored[40:80, 64:].any(), "who was not chosen must not be in the file"
    with pytest.raises(ValueError, match="key_file is empty"):
        node.execute(**{**given, "key_file": " "}, filename_prefix="none")
    with pytest.raises(ValueError, match="mask: it is black"):  # not: everybody may come back
        node.execute(**given, filename_prefix="none", mask=torch.zeros(1, 64, 64))
    assert not list((base / "output").glob("none*"))
