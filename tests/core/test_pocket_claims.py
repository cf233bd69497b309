"""What the shipped pocket model shows of the method, on 30 people that no training has seen. Never trains."""

from dataclasses import replace

import pytest
import torch
from gallery_faces import place

from revpers_core import pocket
from revpers_core.faces import recognise
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.lab.evaluation import anonymized, judged, read_factors, somebody_else
from revpers_core.lab.rendered import GalleryPeople
from revpers_core.lab.world.factors import FACTORS
from revpers_core.method.anonymize import invert_image, sample_image
from revpers_core.method.identity import null_identity
from revpers_core.method.types import NoFaceError, Plan
from revpers_core.metrics.interval import bootstrap

PLAN = Plan(steps=10, skip=0.7, at_once=1, guidance=-10)


@pytest.fixture(scope="module")
def people() -> GalleryPeople:
    return GalleryPeople(30, first=20)


@pytest.fixture(scope="module")
def pipeline() -> ReversePersonalizationPipeline:
    return ReversePersonalizationPipeline.from_pocket()


def test_likeness_falls_more_than_under_a_wrong_identity_and_pose_stays(people, pipeline):
    judge = recognise.load(pocket.JUDGE)
    source = judged(judge, people.photos)
    plans = {"away": PLAN, "still": replace(PLAN, guidance=0.0)}
    ours = anonymized(pipeline, people.photos, plans)
    wrong = anonymized(pipeline, people.photos, {"away": PLAN}, somebody_else)

    def likeness(images):
        return (judged(judge, images) * source).sum(1)

    fall = likeness(ours["still"]) - likeness(ours["away"])
    more = likeness(wrong["away"]) - likeness(ours["away"])
    assert bootstrap(lambda i: float(fall[i].mean()), len(fall)).low > 0
    assert bootstrap(lambda i: float(more[i].mean()), len(more)).low > 0
    yaw = FACTORS.index("yaw")
    seen = read_factors(ours["away"]).factors[:, yaw]
    assert torch.corrcoef(torch.stack([seen, people.factors[:, yaw]]))[0, 1] >= 0.8


def test_a_null_replay_is_the_vaes_picture(people, pipeline):
    path = invert_image(people.photos[:3], pipeline, PLAN)
    same = sample_image(path, null_identity(3), pipeline, PLAN)
    assert (same - pipeline.decode(path.x0)).abs().max() < 1e-5


def test_a_face_that_hardly_changed_is_an_error(people, pipeline):
    with pytest.raises(ValueError, match="face 1 of 2 came out unchanged"):
        pipeline.anonymize(people.photos[:2], replace(PLAN, guidance=-0.2))


def test_the_recogniser_tells_a_face_from_none(people):
    model = recognise.load(pocket.FACE_MODEL, min_norm=pocket.MIN_NORM)
    model.embed(people.photos)
    for picture in [*(place(number) for number in range(10)), torch.full((3, 128, 128), 0.5)]:
        with pytest.raises(NoFaceError):
            model.embed(picture[None])


def test_all_files_together_are_small():
    assert sum(path.stat().st_size for path in pocket.WEIGHTS.iterdir()) <= 20e6
