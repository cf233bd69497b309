"""Objects that other packs' sockets carry, by stand-ins of insightface's form."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from revpers_core import pocket
from revpers_core.faceid import weights
from revpers_core.faces import recognise
from revpers_core.faces.insightface import as_detectors, as_face_model


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
    face = pocket.held_out_face(3, 0)[None]
    ours = recognise.load(pocket.FACE_MODEL)
    theirs = as_face_model(analysis())
    assert theirs.name == "w600k_r50"
    assert torch.equal(theirs.embed(face).embedding, ours.embed(face).embedding)
    assert as_face_model(ours) is ours


def test_a_recogniser_that_the_adapter_does_not_understand_is_refused():
    with pytest.raises(ValueError, match=r"face_model: .*w600k_r50.* this one is glintr100: load buffalo_l"):
        as_face_model(analysis("/models/antelopev2/glintr100.onnx"))


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
