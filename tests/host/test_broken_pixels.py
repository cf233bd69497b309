"""IMAGEs with a NaN pixel, as one broken box upstream makes them, or of 0...255: an error at every box of ours."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch


@pytest.fixture(scope="module")
def pocket(comfy: SimpleNamespace) -> SimpleNamespace:
    with torch.inference_mode():
        model, clip, vae, adapter, face_model = comfy.nodes["RevPersLoadPocket"].execute().args
        face = comfy.nodes["RevPersPocketFace"].execute(3, 0).args[0]
        detector = comfy.nodes["RevPersLoadFaceDetector"].execute("pocket", "cpu").args[0]
        judge = comfy.nodes["RevPersLoadJudge"].execute("pocket", 0.3).args[0]
        faces = comfy.nodes["RevPersDetectFaces"].execute(detector, face, 0.5, 20.0, True).args[0]
        places = comfy.nodes["RevPersCropFaces"].execute(face, faces, 64).args[1]
        attribute = comfy.nodes["AttributePrompt"].execute(clip, "any", "any", "", "").args[1]
    return SimpleNamespace(**locals())


def everyone(nodes: Any, p: SimpleNamespace, image: Any, keep: Any = None) -> Any:
    return nodes["RevPersAnonymizeFaces"].execute(
        image=image, model=p.model, clip=p.clip, vae=p.vae, adapter=p.adapter, face_model=p.face_model,
        detector=p.detector, attribute=p.attribute, strength=0.5, size=128, steps=2, skip=0.5, seed=0, no_face="pass",
        keep=keep,
    )  # fmt: skip


BOXES = {
    "FaceIDEmbed": lambda n, p, i: n["FaceIDEmbed"].execute(p.face_model, i, 1.0),
    "Find Faces": lambda n, p, i: n["RevPersDetectFaces"].execute(p.detector, i, 0.5, 20.0, False),
    "Cut Faces Out": lambda n, p, i: n["RevPersCropFaces"].execute(i, p.faces, 64),
    "Put Faces Back, photo": lambda n, p, i: n["RevPersPasteFaces"].execute(
        i, p.places, torch.rand(1, 64, 64, 3), False, False
    ),
    "Put Faces Back, crop": lambda n, p, i: n["RevPersPasteFaces"].execute(
        p.face, p.places, i[:, :64, -64:], False, False
    ),
    "Put Faces Back, mask": lambda n, p, i: n["RevPersPasteFaces"].execute(
        p.face, p.places, torch.rand(1, 64, 64, 3), False, False, i[..., 0]
    ),
    "Anonymize Everyone": lambda n, p, i: everyone(n, p, i),
    "Anonymize Everyone, keep": lambda n, p, i: everyone(n, p, p.face, i),
    "Audit, originals": lambda n, p, i: n["RevPersAudit"].execute(i, p.face, p.judge),
    "Audit, results": lambda n, p, i: n["RevPersAudit"].execute(p.face, i, p.judge),
    "Before and After": lambda n, p, i: n["RevPersBeforeAfter"].execute(i, p.face),
    "Save": lambda n, p, i: n["RevPersSave"].execute(i, "anonymous", False),
}


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("value", "words"), [(float("nan"), "NaN or infinite"), (255.0, r"\[0, 1\]: divide by 255")])
def test_a_broken_pixel_is_an_error(
    comfy: SimpleNamespace, pocket: SimpleNamespace, box: str, value: float, words: str
) -> None:
    image = pocket.face.clone()
    image[:, 0, -1] = value
    with torch.inference_mode(), pytest.raises(ValueError, match=words):
        BOXES[box](comfy.nodes, pocket, image)


@pytest.mark.parametrize("kind", ["float16", "float64", "RGBA"])
def test_other_kinds_give_the_same_picture(comfy: SimpleNamespace, pocket: SimpleNamespace, kind: str) -> None:
    face = pocket.face
    given = {"float16": face.half(), "float64": face.double(), "RGBA": torch.cat([face, face[..., :1]], -1)}[kind]
    with torch.inference_mode():
        result, same = (everyone(comfy.nodes, pocket, one).args[0] for one in (given, face))
    assert result.dtype == torch.float32 and (result - same).abs().max() < 0.05
