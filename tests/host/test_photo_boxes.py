"""A whole photo through the nodes, with the pocket model and the renderer's own knowledge of where the faces are."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

SIDE, AT = 128, ((20, 30), (210, 60))


@pytest.fixture(scope="module")
def scene(comfy: SimpleNamespace) -> SimpleNamespace:
    """A grey picture with two rendered people, a detector that knows them, and the loaded pocket model."""
    node = comfy.nodes["RevPersLoadPocket"]
    with torch.inference_mode():
        model, clip, vae, adapter, face_model = node.execute().args
    types, gallery = comfy.core("revpers_core.faces.face"), comfy.core("revpers_core.media.gallery")
    points = comfy.core("revpers_core.faces.geometry").framing(SIDE).float()
    photo = torch.full((1, 224, 380, 3), 0.4)
    faces: list[Any] = []
    for (x, y), person in zip(AT, (3, 8), strict=True):
        photo[0, y : y + SIDE, x : x + SIDE] = gallery.aligned_face(person, 1).permute(1, 2, 0)
        there = points + torch.tensor([x, y])
        box = (*(there.amin(0) - 20).tolist(), *(there.amax(0) + 20).tolist())
        faces.append(types.Face(box, there, 0.9))
    return SimpleNamespace(
        photo=photo, faces=faces, model=model, clip=clip, vae=vae, adapter=adapter, face_model=face_model,
        detector=(lambda image: list(faces),), nodes=comfy.nodes, core=comfy.core,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def the_detector_is_told(scene: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is searched for is tested elsewhere: here a detector's answer is the answer."""
    detect = scene.core("revpers_core.faces.detect")
    monkeypatch.setattr(detect, "find_faces", lambda image, detectors, search=None: detectors[0](image))


def run(scene: SimpleNamespace, name: str, **inputs: Any) -> Any:
    with torch.inference_mode():
        return scene.nodes[name].execute(**inputs).args


def everyone(scene: SimpleNamespace, **changes: Any) -> Any:
    """(image, mask, report) of the all-in-one node in a few steps."""
    _, attribute = run(scene, "AttributePrompt", clip=scene.clip, age="any", sex="any", look="", text="")
    inputs: dict[str, Any] = {
        "image": scene.photo, "model": scene.model, "clip": scene.clip, "vae": scene.vae, "adapter": scene.adapter,
        "face_model": scene.face_model, "detector": scene.detector, "attribute": attribute, "strength": 0.5,
        "size": SIDE, "steps": 8, "skip": 0.6, "seed": 1, "no_face": "raise",
    }  # fmt: skip
    return run(scene, "RevPersAnonymizeFaces", **{**inputs, **changes})[:3]


def test_everyone_changes_and_the_rest_is_untouched(scene: SimpleNamespace) -> None:
    image, mask, report = everyone(scene)
    difference = (image - scene.photo).abs().amax(-1)
    assert torch.equal(image[mask == 0], scene.photo[mask == 0])
    for face in scene.faces:
        x, y = face.points[2].int().tolist()
        assert difference[0, y - 15 : y + 15, x - 15 : x + 15].max() > 0.1
    assert report.count('"unverified"') == 2 and "seed" not in report


def test_nobody_is_an_error_unless_the_user_chose_otherwise(scene: SimpleNamespace) -> None:
    nobody = (lambda image: [],)
    with pytest.raises(ValueError, match="no face was found"):
        everyone(scene, detector=nobody)
    assert torch.equal(everyone(scene, detector=nobody, no_face="pass")[0], scene.photo)
    blurred = everyone(scene, detector=nobody, no_face="blur")[0]
    assert blurred.diff(dim=2).abs().sum() < 0.3 * scene.photo.diff(dim=2).abs().sum()


def judge(likeness: list[float]) -> SimpleNamespace:
    """A judge whose answers are given; it keeps count."""
    answers, rule = iter(likeness), SimpleNamespace(threshold=0.5, floor=-0.5, vouches=True, measured=True)
    return SimpleNamespace(
        name="stand-in", rule=rule, embed=lambda image, face: torch.zeros(1), similarity=lambda a, b: next(answers, 0.0)
    )  # fmt: skip


def test_a_recognised_face_is_done_again_stronger_and_then_is_an_error(scene: SimpleNamespace) -> None:
    _, _, report = everyone(scene, judge=(judge([0.9, 0.0, 0.0]),))
    assert '"guidance": -7.5' in report and '"guidance": -5.0' in report
    assert report.count("not re-identified by 1 of 1 judges") == 2
    with pytest.raises(ValueError, match="still recognised by stand-in"):
        everyone(scene, judge=(judge([0.9, 0.6]),))


def test_a_target_finds_the_weakest_strength_along_one_inversion(
    scene: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, inversions = scene.core("revpers_core.hosts.comfy"), []
    invert = host.invert_latent
    monkeypatch.setattr(host, "invert_latent", lambda *a, **k: inversions.append(1) or invert(*a, **k))
    alone = (lambda image: scene.faces[:1],)
    _, _, report = everyone(scene, judge=(judge([-0.9, 0.9, 0.0, 0.9, 0.9]),), target=0.2, detector=alone, seed=7)
    assert '"guidance": -4.0' in report and len(inversions) == 1
    with pytest.raises(ValueError, match="no guidance was found"):
        everyone(scene, judge=(judge([-0.9] * 8),), target=0.2, detector=alone)
    with pytest.raises(ValueError, match="needs a judge"):
        everyone(scene, target=0.2)


def test_a_face_that_only_the_second_look_finds_is_done_too_and_then_is_an_error(scene: SimpleNamespace) -> None:
    first, second = scene.faces
    looks = iter([[first], [first, second], [first, second]])
    _, _, report = everyone(scene, detector=(lambda image: next(looks),))
    assert report.count("unverified") == 2
    elsewhere = scene.core("revpers_core.faces.face").Face((300.0, 5.0, 340.0, 45.0), second.points + 40, 0.9)
    looks = iter([[first], [first, second], [first, second, elsewhere]])
    with pytest.raises(ValueError, match="still turn up after the second look"):
        everyone(scene, detector=(lambda image: next(looks),))


def test_cut_and_put_back_gives_the_photo_back(scene: SimpleNamespace) -> None:
    faces, overlay = run(
        scene, "RevPersDetectFaces", detector=scene.detector, image=scene.photo, min_score=0.5, smallest=20.0,
        must_find=True,
    )  # fmt: skip
    assert (overlay - scene.photo).abs().max() > 0.2
    chosen, others = run(
        scene, "RevPersSelectFaces", faces=faces, which="by number", numbers="2", size=1.0, likeness=0.4
    )
    assert len(chosen[0]) == len(others[0]) == 1 and chosen[0][0] is faces[0][1]
    crops, places = run(scene, "RevPersCropFaces", image=scene.photo, faces=chosen, size=SIDE)
    same, mask = run(
        scene, "RevPersPasteFaces", image=scene.photo, places=places, crop=crops, match_colour=False,
        keep_eyes_and_mouth=False,
    )  # fmt: skip
    assert (same - scene.photo).abs().max() <= 1 / 255
    assert mask.max() > 0.9


def test_squares_of_another_picture_are_refused_and_edited_ones_of_the_same_are_not(scene: SimpleNamespace) -> None:
    """Its face would stay, and a new one stand beside it."""
    crops, places = run(scene, "RevPersCropFaces", image=scene.photo, faces=[scene.faces], size=SIDE)
    paste = partial(run, scene, "RevPersPasteFaces", places=places, match_colour=False, keep_eyes_and_mouth=False)
    for other in (scene.photo.flip(2), scene.photo.roll(90, 2), torch.rand(1, 300, 500, 3)):
        with pytest.raises(ValueError, match="a square was cut from another picture than image 1"):
            paste(image=other, crop=crops)
    with pytest.raises(ValueError, match="got 1, but faces were cut from 2: connect the images"):
        paste(image=scene.photo, crop=crops[:1], places=[(1, places[0][1])])
    for same in (scene.photo * 0.5, scene.photo.pow(1.5), everyone(scene)[0]):
        assert paste(image=same, crop=crops)[0].shape == scene.photo.shape


def test_people_on_the_keep_list_are_left_alone(scene: SimpleNamespace) -> None:
    faces = [scene.faces]
    reference = scene.core("revpers_core.media.gallery").aligned_face(8, 2)
    points = scene.core("revpers_core.faces.geometry").framing(SIDE).float()
    found = scene.core("revpers_core.faces.face").Face((30.0, 30.0, 100.0, 110.0), points, 0.9)
    chosen, others = run(
        scene, "RevPersSelectFaces", faces=faces, which="all but these people", numbers="", size=1.0, likeness=0.2,
        image=scene.photo, face_model=scene.face_model,
        references=reference.permute(1, 2, 0)[None], references_faces=[[found]],
    )  # fmt: skip
    assert [len(one) for one in (others[0], chosen[0])] == [1, 1]
    assert others[0][0] is scene.faces[1] and chosen[0][0] is scene.faces[0]


def test_the_audit_names_who_is_still_there(scene: SimpleNamespace) -> None:
    """With the recogniser as its own judge: the originals are known, a picture of nobody is not."""
    judges = scene.core("revpers_core.faces.judges")
    asked = (judges.ArcFaceJudge(scene.face_model),)

    def audit(results: torch.Tensor) -> Any:
        return run(scene, "RevPersAudit", originals=scene.photo, results=results, judge=asked, detector=scene.detector)

    picture, verdict, report, table = audit(scene.photo)
    assert table.splitlines()[1].startswith(asked[0].name) and "1.000 [0.342, 1.000]" in table
    assert verdict.startswith("re-identified by") and "face 1 of image 1, face 2 of image 1" in verdict
    assert picture.shape[0] == 1 and picture.shape[-1] == 3 and '"passed": false' in report
    noise = torch.rand(scene.photo.shape, generator=torch.Generator().manual_seed(0))
    assert audit(noise)[1] == "not re-identified by 1 of 1 judges"
    with pytest.raises(ValueError, match="results: the batch is empty"):
        audit(scene.photo[:0])


def test_saving_leaves_no_word(scene: SimpleNamespace, base: Any) -> None:
    from PIL import Image

    node = scene.nodes["RevPersSave"]
    node.hidden = SimpleNamespace(
        prompt={"seed": 1}, extra_pnginfo={"workflow": {"a": 1}}, unique_id="1", dynprompt=None
    )
    run(scene, "RevPersSave", image=scene.photo, filename_prefix="bare", with_workflow=False)
    run(scene, "RevPersSave", image=scene.photo, filename_prefix="told", with_workflow=True)
    (bare,) = (base / "output").glob("bare*.png")
    (path,) = (base / "output").glob("told*.png")
    with Image.open(bare) as picture:
        assert not picture.info
        assert np.abs(np.asarray(picture) / 255 - scene.photo[0].numpy()).max() < 1 / 255
    with Image.open(path) as picture:
        assert "workflow" in picture.info


def test_many_faces_of_many_images_go_through_in_one_call_as_one_by_one(scene: SimpleNamespace) -> None:
    """Three faces of two images: their noise is by (seed, place in the batch), their identities are their own."""
    photos = torch.cat([scene.photo, scene.photo * 0.8])
    faces = [scene.faces, scene.faces[1:]]
    crops, places = run(scene, "RevPersCropFaces", image=photos, faces=faces, size=SIDE)
    assert [i for i, _ in places] == [0, 0, 1]
    positive, attribute = run(scene, "AttributePrompt", clip=scene.clip, age="any", sex="any", look="", text="")
    with torch.inference_mode():
        latents = scene.vae.encode(crops)
    model = {"model": scene.model, "adapter": scene.adapter}

    def sampled(pixels: torch.Tensor, latent: dict[str, Any]) -> torch.Tensor:
        (identity,) = run(scene, "FaceIDEmbed", face_model=scene.face_model, image=pixels, scale=1.0)
        (path,) = run(
            scene, "NullIDInvertDPMPP", **model, positive=positive, latent=latent, steps=6, skip=0.5, seed=4
        )  # fmt: skip
        (out,) = run(
            scene, "NegativeIDGuidanceSampler", **model, identity=identity, trajectory=path, attribute=attribute,
            guidance=-5.0,
        )  # fmt: skip
        return out["samples"]

    together = sampled(crops, {"samples": latents})
    for i in range(3):
        alone = sampled(crops[i : i + 1], {"samples": latents[i : i + 1], "batch_index": [i]})
        assert (together[i : i + 1] - alone).abs().max() < 3e-4 * alone.abs().max(), i
    another = sampled(crops[2:], {"samples": latents[2:], "batch_index": [0]})
    assert (together[2:] - another).abs().max() > 0.01 * another.abs().max(), "the noise does not depend on the place"
    with torch.inference_mode():
        pixels = scene.vae.decode(together)
    image, _ = run(
        scene, "RevPersPasteFaces", image=photos, places=places, crop=pixels, match_colour=False,
        keep_eyes_and_mouth=False,
    )  # fmt: skip
    first = scene.faces[0].points[2].int().tolist()
    around = (slice(first[1] - 8, first[1] + 8), slice(first[0] - 8, first[0] + 8))
    assert torch.equal(image[1][around], photos[1][around]) and (image[0][around] - photos[0][around]).abs().max() > 0.1


def test_the_keep_list_and_kept_parts_of_the_all_in_one_node(scene: SimpleNamespace) -> None:
    """The reference is the photo of the first of the two faces, alone."""
    image, _, report = everyone(scene, keep=scene.photo, likeness=0.999)
    (x, y), (u, v) = (face.points[2].int().tolist() for face in scene.faces)
    near = [(slice(b - 10, b + 10), slice(a - 10, a + 10)) for a, b in ((x, y), (u, v))]
    changed = [float((image - scene.photo)[0][at].abs().max()) for at in near]
    assert sorted(c == 0 for c in changed) == [False, True] and report.count('"verdict"') == 1
    assert '"kept": [{"box"' in report
    image, _, _ = everyone(scene, keep_eyes_and_mouth=True)
    a, b = scene.faces[0].points[0].round().int().tolist()
    eyes = [one[0, b - 4 : b + 5, a - 6 : a + 7].mean(-1).flatten() for one in (image, scene.photo)]
    assert torch.corrcoef(torch.stack(eyes))[0, 1] > 0.8, "the eye is another"


def test_grey_pictures_and_alpha_are_taken(scene: SimpleNamespace) -> None:
    image, _, _ = everyone(scene, image=torch.cat([scene.photo, torch.ones_like(scene.photo[..., :1])], -1))
    assert image.shape == scene.photo.shape and not torch.equal(image, scene.photo)
    grey = scene.photo.mean(-1, keepdim=True)
    crops, _ = run(scene, "RevPersCropFaces", image=grey, faces=[scene.faces], size=SIDE)
    assert crops.shape == (2, SIDE, SIDE, 3) and torch.equal(crops[..., 0], crops[..., 1])


@pytest.mark.parametrize("no_face", ["raise", "blur", "pass"])
def test_a_face_that_cannot_be_read_never_passes_for_no_face(scene: SimpleNamespace, no_face: str) -> None:
    """A batch whose second image shows a detected face of plain grey, which the recogniser refuses."""
    blank = torch.full_like(scene.photo, 0.4)
    with pytest.raises(ValueError, match=r"image 2 of 2: a face was found at .* cannot tell whose"):
        everyone(scene, image=torch.cat([scene.photo, blank]), no_face=no_face)


def test_a_mask_confines_the_change(scene: SimpleNamespace) -> None:
    """The lower edge of the second person's face stays bit for bit; a mask over somebody is an error, as are
    too many."""
    mask = torch.ones(1, *scene.photo.shape[1:3])
    bottom = round(scene.faces[1].box[3]) - 20
    mask[:, bottom:] = 0
    image, changed, _ = everyone(scene, mask=mask)
    assert torch.equal(image[:, bottom:], scene.photo[:, bottom:]) and changed[:, bottom:].max() == 0
    assert not torch.equal(image[:, bottom - 30 : bottom], scene.photo[:, bottom - 30 : bottom])
    half = everyone(scene, mask=torch.nn.functional.avg_pool2d(mask, 2))[0]
    assert torch.equal(half[:, bottom + 2 :], scene.photo[:, bottom + 2 :]) and (half - image).abs().mean() < 0.001
    for bad, said in ((mask * 0, "leave 0% of a face to change"), (mask.repeat(3, 1, 1), "for all, got 3")):
        with pytest.raises(ValueError, match=said):
            everyone(scene, mask=bad)
    crops, places = run(scene, "RevPersCropFaces", image=scene.photo, faces=[scene.faces], size=SIDE)
    back = {"places": places, "crop": 1 - crops, "match_colour": True, "keep_eyes_and_mouth": False}
    image, changed = run(scene, "RevPersPasteFaces", image=scene.photo, mask=mask, **back)
    assert torch.equal(image[:, bottom:], scene.photo[:, bottom:]) and changed[:, bottom:].max() == 0
    with pytest.raises(ValueError, match="leave 0% of a face to change"):
        run(scene, "RevPersPasteFaces", image=scene.photo, mask=mask * 0, **back)


def test_the_black_mask_of_a_picture_without_alpha_is_none(scene: SimpleNamespace) -> None:
    """'Load Image' gives one of 64 x 64 for whatever picture."""
    plain, _, _ = everyone(scene)
    assert torch.equal(everyone(scene, mask=torch.zeros(1, 64, 64))[0], plain)
    crops, places = run(scene, "RevPersCropFaces", image=scene.photo, faces=[scene.faces], size=SIDE)
    back = {"places": places, "crop": 1 - crops, "match_colour": True, "keep_eyes_and_mouth": False}
    (pasted, _), (same, _) = (
        run(scene, "RevPersPasteFaces", image=scene.photo, mask=mask, **back) for mask in (None, torch.zeros(1, 64, 64))
    )
    assert torch.equal(pasted, same)


def test_who_is_on_a_picture_of_any_framing(scene: SimpleNamespace) -> None:
    """With a detector a face anywhere in a picture is the same person as in an aligned crop of it."""
    crops, _ = run(scene, "RevPersCropFaces", image=scene.photo, faces=[scene.faces[:1]], size=SIDE)
    (aligned,) = run(scene, "FaceIDEmbed", face_model=scene.face_model, image=crops, scale=1.0)
    only = (lambda image: scene.faces[:1],)
    (found,) = run(
        scene, "FaceIDEmbed", face_model=scene.face_model, image=scene.photo, scale=0.5, detector=only
    )  # fmt: skip
    likeness = scene.core("revpers_core.method.identity").cosine(aligned, found)
    assert float(likeness) > 0.95 and float(found.embedding.norm()) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no face was found in image 1 of 1"):
        run(
            scene, "FaceIDEmbed", face_model=scene.face_model, image=scene.photo, scale=1.0,
            detector=(lambda image: [],),
        )  # fmt: skip


def test_an_empty_batch_and_a_faint_search_are_told(scene: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="the batch is empty"):
        everyone(scene, image=scene.photo[:0])
    for name in ("RevPersDetectFaces", "RevPersAnonymizeFaces"):
        (lowest,) = [one.min for one in scene.nodes[name].define_schema().inputs if one.id == "min_score"]
        assert scene.core("revpers_core.faces.detect").Search(min_score=lowest)


def test_grey_pictures_are_saved(scene: SimpleNamespace, base: Any) -> None:
    from PIL import Image

    scene.nodes["RevPersSave"].hidden = SimpleNamespace(prompt=None, extra_pnginfo=None, unique_id="1", dynprompt=None)
    grey = scene.photo[:, :1, :1].mean(-1, keepdim=True)
    run(scene, "RevPersSave", image=grey, filename_prefix="grey", with_workflow=False)
    (saved,) = (base / "output").glob("grey*.png")
    with Image.open(saved) as picture:
        assert picture.size == (1, 1) and not picture.info


def three(look: Any, *args: Any, **rest: Any) -> Any:
    *others, (found,) = look(*args, **rest)
    return *others, [found[:3]]


@pytest.mark.upstream
def test_comfyuis_own_face_stack_is_a_detector(scene: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its real class without its weights, which imagines faces, here the first three: ours are those it reports."""
    from comfy_extras.nodes_mediapipe import _ALL_CONNECTION_PARTS, FaceLandmarkerModel

    edge = torch.tensor([[0, 1]], dtype=torch.int32)
    state = {f"topology.{part}": edge for part in (*_ALL_CONNECTION_PARTS, "tesselation")}
    state |= {key: torch.zeros(1) for key in ("canonical_vertices", "procrustes_indices", "procrustes_weights")}
    state |= {
        "detector_full.cls_dw.weight": torch.zeros(4, 1, 3, 3),
        "detector_full.cls_dw.bias": torch.full((4,), -50.0),
    }
    state |= {
        "detector_short.cls_8.weight": torch.zeros(6, 96, 1, 1),
        "detector_short.cls_8.bias": torch.full((6,), -50.0),
    }
    torch.manual_seed(0)
    model = FaceLandmarkerModel(state)
    for net in model.models.values():
        monkeypatch.setattr(net, "run_detector_batch", partial(three, net.run_detector_batch))
    pixels = (scene.photo[0] * 255).round().byte().numpy()
    with torch.inference_mode():
        raw = [one for v in ("short", "full") for one in model.detect_batch([pixels], 0, 0.3, v)[0]]
        (detector,) = scene.core("revpers_core.faces.insightface").as_detectors(model)
        ours = detector(scene.photo[0].permute(2, 0, 1))
    assert ours and len(raw) >= len(ours)
    boxes = [tuple(round(float(v), 2) for v in one["bbox_xyxy"]) for one in raw]
    assert all(tuple(round(v, 2) for v in face.box) in boxes for face in ours)


def test_saved_pictures_are_marked_only_when_asked(scene: SimpleNamespace, base: Any) -> None:
    """IPTC's DigitalSourceType in the file, a word in the corner; pixels elsewhere as they were."""
    from PIL import Image

    scene.nodes["RevPersSave"].hidden = SimpleNamespace(prompt=None, extra_pnginfo=None, unique_id="1", dynprompt=None)
    data, pixels = [], []
    for name, switches in (("plain", {}), ("iptc", {"mark": True}), ("corner", {"corner_mark": True})):
        run(scene, "RevPersSave", image=scene.photo, filename_prefix=name, with_workflow=False, **switches)
        (path,) = (base / "output").glob(f"{name}*.png")
        data.append(b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in path.read_bytes())
        pixels.append(np.asarray(Image.open(path)))
    plain, marked, corner = pixels
    upper = plain.shape[0] * 3 // 4
    assert data == [False, True, False] and np.array_equal(plain, marked)
    assert np.array_equal(plain[:upper], corner[:upper]) and not np.array_equal(plain, corner)


def test_a_black_and_white_photo_comes_back_in_black_and_white(scene: SimpleNamespace) -> None:
    grey = scene.photo.mean(-1, keepdim=True).expand_as(scene.photo)
    image, mask, _ = everyone(scene, image=torch.cat([grey, scene.photo]), match_colour=True)
    assert torch.equal(image[0, ..., 0], image[0, ..., 1]) and torch.equal(image[0, ..., 1], image[0, ..., 2])
    assert (image[0] - grey[0]).abs().max() > 0.1 and torch.equal(image[0][mask[0] == 0], grey[0][mask[0] == 0])
    assert not torch.equal(image[1, ..., 0], image[1, ..., 1]), "another photo of the batch keeps its colours"


def test_faces_are_chosen_by_number(scene: SimpleNamespace) -> None:
    image, _, report = everyone(scene, numbers="2")
    (x, y), (u, v) = (face.points[2].int().tolist() for face in scene.faces)
    changed = [
        float((image - scene.photo)[0, b - 10 : b + 10, a - 10 : a + 10].abs().max()) for a, b in ((x, y), (u, v))
    ]
    assert changed[0] == 0 and changed[1] > 0.1 and '"kept": [{"box"' in report
    with pytest.raises(ValueError, match="there is no face number 3"):
        everyone(scene, numbers="3")


def test_a_crop_factor_of_one_is_what_was_and_more_shows_more(scene: SimpleNamespace) -> None:
    usual, same, wide = (everyone(scene, **one)[0] for one in ({}, {"crop_factor": 1.0}, {"crop_factor": 1.5}))
    assert torch.equal(usual, same) and not torch.equal(usual, wide)
    crops = [
        run(scene, "RevPersCropFaces", image=scene.photo, faces=[scene.faces], size=SIDE, **one)[0]
        for one in ({}, {"crop_factor": 1.0}, {"crop_factor": 2.0})
    ]
    assert torch.equal(crops[0], crops[1]) and (crops[2][0, :8] - 0.4).abs().max() < 0.1 * (crops[0] - 0.4).abs().max()
    with pytest.raises(ValueError, match=r"crop_factor 1\.5: nullface knows the paper's square only"):
        everyone(scene, crop_factor=1.5, method="nullface")


def test_the_box_shows_the_numbered_faces_and_where_they_changed(scene: SimpleNamespace) -> None:
    """Each photo under its own mask, and none for a photo without a face."""
    found = iter([scene.faces, scene.faces, [], scene.faces[:1], scene.faces[:1]])
    anonymize = scene.core("nodes.anonymize")
    shown: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anonymize.ui, "PreviewImage", lambda pictures, cls: shown.append(pictures))
        _, mask, _ = everyone(
            scene, image=scene.photo.repeat(3, 1, 1, 1), detector=(lambda image: list(next(found)),), no_face="pass"
        )
    (pictures,) = shown
    assert len(pictures) == 2
    for picture, where in zip(pictures, mask[[0, 2]], strict=True):
        shift = picture - scene.photo[0]
        green = shift[..., 1] - shift[..., 0]
        assert green[where > 0.9].median() > 0.2 and green[where == 0].abs().median() < 0.01


def test_a_wider_feather_changes_less_at_the_rim(scene: SimpleNamespace) -> None:
    narrow, wide = (everyone(scene, feather=feather)[1] for feather in (0.05, 0.8))
    assert ((narrow > 0) & (narrow < 0.9)).sum() < 0.5 * ((wide > 0) & (wide < 0.9)).sum()
