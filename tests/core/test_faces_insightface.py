"""Objects that other packs' sockets carry, by stand-ins of insightface's form."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from revpers_core import pocket
from revpers_core.adapters import weights
from revpers_core.faces import recognise
from revpers_core.faces.insightface import as_detectors, as_face_model
from revpers_core.media import gallery


def analysis(file="/models/buffalo_l/w600k_r50.onnx", **models):
    """insightface's FaceAnalysis as its loaders leave it: models by task, the detector prepared."""
    ours = recognise.load(pocket.FACE_MODEL)
    recogniser = SimpleNamespace(
        taskname="recognition", model_file=file, session=ours.session, input_mean=127.5, input_std=127.5
    )

    def detect(image, input_size=None, max_num=0, metric="default"):
        assert image.shape == (60, 80, 3) and image.dtype == np.uint8
        assert image[0, 0].tolist() == [0, 0, 255], "BGR is expected"
        return np.array([[10, 12, 40, 50, 0.9]], np.float32), np.full((1, 5, 2), 20, np.float32)

    detector = SimpleNamespace(taskname="detection", model_file="det_10g.onnx", input_size=(640, 640), detect=detect)
    return SimpleNamespace(models={"recognition": recogniser, "detection": detector, **models}, det_model=detector)


def test_the_recogniser_of_an_analysis_sees_what_ours_sees():
    face = gallery.aligned_face(3, 0)[None]
    ours = recognise.load(pocket.FACE_MODEL)
    expected = as_face_model(analysis())
    assert expected.name == "w600k_r50"
    assert torch.equal(expected.embed(face).embedding, ours.embed(face).embedding)
    assert as_face_model(ours) is ours


def test_a_recogniser_that_the_adapter_does_not_understand_is_refused():
    with pytest.raises(ValueError, match=r"face_model: .*w600k_r50.* this one is r34: load one of these"):
        as_face_model(analysis("/models/other/r34.onnx"))
    assert as_face_model(analysis("/models/antelopev2/glintr100.onnx")).name == "glintr100"  # InstantID's


def test_the_detector_of_an_analysis_finds_faces():
    red = torch.zeros(3, 60, 80)
    red[0] = 1
    (detector,) = as_detectors(analysis("/models/antelopev2/glintr100.onnx"))
    (face,) = detector(red)
    assert face.box == (10, 12, 40, 50) and face.score == pytest.approx(0.9)
    both = (detector, detector)
    assert as_detectors(both) is both


@pytest.mark.parametrize("other", [[{"embedding": []}], None, SimpleNamespace(models={})])
def test_other_objects_are_refused_in_words(other):
    with pytest.raises(ValueError, match=r"face_model: expected insightface's FaceAnalysis .* got \w+: connect"):
        as_face_model(other)
    with pytest.raises(ValueError, match="detector: expected insightface's FaceAnalysis"):
        as_detectors(other)


def test_an_ipadapter_plain_and_from_a_unified_loader():
    ours = weights.load(pocket.ADAPTER)
    plain = {"image_proj": dict(ours.image_proj), "ip_adapter": dict(ours.ip_adapter)}
    wrapped = {"ipadapter": {"file": "faceid.bin", "model": plain}, "clipvision": {}, "insightface": {}}
    for state in (plain, wrapped):
        assert weights.from_state(state).slots == ours.slots
    with pytest.raises(ValueError, match="not an IP-Adapter file"):
        weights.from_state({"ipadapter": {"file": None, "model": None}})


def test_comfyuis_own_face_stack_finds_faces():
    """By a stand-in of its interface: two variants that see the same face, the far one another too."""
    mesh = np.zeros((478, 2), np.float32)
    for number, place in {33: (10, 20), 133: (20, 22), 362: (30, 22), 263: (40, 20), 1: (25, 30), 61: (15, 40)}.items():
        mesh[number] = place
    mesh[291] = 35, 40

    def face(x, score):
        box, moved = np.array([5 + x, 10, 45 + x, 50], np.float32), mesh + np.array([x, 0])
        return {"bbox_xyxy": box, "landmarks_xy": moved, "score": score}

    def detect_batch(images, num_faces, score_thresh, variant):
        (image,) = images
        assert image.shape == (60, 120, 3) and image.dtype == np.uint8 and image[0, 0].tolist() == [255, 0, 0]
        assert num_faces == 0, "it must not stop at the first face"
        return [[face(0, 0.8)] if variant == "short" else [face(60, 0.6), face(1, 0.9)]]

    red = torch.zeros(3, 60, 120)
    red[0] = 1
    (detector,) = as_detectors(SimpleNamespace(detect_batch=detect_batch))
    near, far = detector(red)
    assert near.box == (6, 10, 46, 50) and far.box == (65, 10, 105, 50) and near.score == pytest.approx(0.9)
    assert far.points.tolist() == [[75, 21], [95, 21], [85, 30], [75, 40], [95, 40]]
    (nothing,) = as_detectors(SimpleNamespace(detect_batch=lambda *_, **__: [[]]))
    assert nothing(red) == []
