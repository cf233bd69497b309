"""A clip with stand-ins for the networks: whatever goes wrong, no frame shows anybody as they were."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from clips import WISHES, Judge, Scene, as_is, face_at, features, still, stranger

from revpers_core.faces.judges import cosine
from revpers_core.media.anonymize_frames import anonymize_images
from revpers_core.media.strength import StillRecognisedError, Target
from revpers_core.media.tracks import Certainty, ClipTracks
from revpers_core.media.video import anonymize_frames, find_strengths, find_tracks
from revpers_core.media.video_ports import FrameResult, VideoOptions, VideoPorts
from revpers_core.method.types import Identity, NoFaceError


def run(
    scene: Scene, ports: VideoPorts | None = None, options: VideoOptions = WISHES
) -> tuple[ClipTracks, list[FrameResult]]:
    ports = ports or scene.ports()
    tracks = find_tracks(scene.frames(), ports, options)
    return tracks, list(anonymize_frames(scene.frames(), 0, tracks, ports, options))


def likeness(scene: Scene, results: Sequence[FrameResult], person: int) -> list[float]:
    """Of the place where somebody was to themselves, in every frame where they were there."""
    return [
        cosine(features(one.image, face_at(*place)), features(scene.image(k), face_at(*place)))
        for k, one in enumerate(results)
        if (place := scene.people[person](k))
    ]


def test_everyone_changes_in_every_frame_and_the_rest_does_not():
    scene = Scene({1: still(10, 20), 2: lambda k: (100 + k, 30)}, 20)
    tracks, results = run(scene)
    assert len(results) == 20 and len(tracks.people) == 2
    assert max(likeness(scene, results, 1) + likeness(scene, results, 2)) < 0.5
    for k, one in enumerate(results):
        assert torch.equal(one.image[:, one.mask[0] == 0], scene.image(k)[:, one.mask[0] == 0])
        assert sorted(one.changed) == [0, 1] and not one.blurred


def test_one_noise_and_the_mean_identity_a_person():
    scene, calls = Scene({1: still(10, 20), 2: still(100, 30)}, 10), []

    def invert_face(crops, identity, index):
        calls.append((index, len(crops), identity.embedding))
        return stranger(crops, identity, index)

    run(scene, scene.ports(invert_face=invert_face))
    assert [(index, count) for index, count, _ in calls] == [(0, 8), (1, 8), (0, 2), (1, 2)]
    assert torch.equal(calls[0][2], calls[2][2]) and float(calls[0][2].norm()) == pytest.approx(1)


@pytest.mark.parametrize("lost", [range(8, 11), range(8, 9)])
def test_a_frame_without_a_detection_gets_the_place_between(lost):
    scene = Scene({1: lambda k: (10 + 2 * k, 20)}, 20)
    scene.blind = {k: {1} for k in lost}
    tracks, results = run(scene)
    (place,) = tracks.places(lost[0])
    assert place.certainty is Certainty.BRIDGED
    seen = face_at(10 + 2 * lost[0], 20)
    assert torch.allclose(place.face.points, seen.points, atol=1.0)
    assert place.face.area > 1.5 * seen.area
    assert max(likeness(scene, results, 1)) < 0.5 and not any(one.blurred for one in results)


def test_where_nobody_can_say_where_the_face_is_the_place_is_blurred():
    scene = Scene({1: lambda k: (10 + 2 * k, 20)}, 30)
    scene.blind = {k: {1} for k in range(8, 20)}
    tracks, results = run(scene)
    assert all(tracks.places(k)[0].certainty is Certainty.UNSURE for k in range(8, 20))
    assert [k for k, one in enumerate(results) if one.blurred] == list(range(8, 20))
    assert max(likeness(scene, results, 1)) < 0.6


def test_a_faint_face_carries_a_track_on_and_back_but_begins_none():
    scene = Scene({1: still(10, 20), 2: still(100, 30)}, 20)
    scene.faint = {k: {1} if 8 <= k < 15 else set() for k in range(20)} | {k: {1, 2} for k in range(5)}
    scene.people[2] = lambda k: (100, 30) if k < 5 else None
    tracks, results = run(scene)
    assert len(tracks.people) == 1 and tracks.tracks[0].start == 0 and tracks.tracks[0].sightings == 20
    assert max(likeness(scene, results, 1)) < 0.5


def test_before_the_first_face_and_after_the_last_somebody_may_be_there():
    scene = Scene({1: still(10, 20)}, 30)
    scene.blind = {k: {1} for k in (*range(8), *range(20, 30))}
    _, results = run(scene)
    assert [k for k, one in enumerate(results) if one.blurred] == [3, 4, 5, 6, 7, 20, 21, 22, 23, 24]


def test_a_cut_ends_a_track_at_once():
    scene = Scene(
        {1: lambda k: (10, 20) if k < 10 else None, 2: lambda k: (14, 22) if k >= 10 else None},
        20,
        lambda k: 0.2 if k < 10 else 0.8,
    )
    tracks, results = run(scene)
    assert [(one.start, one.stop) for one in tracks.tracks] == [(0, 10), (10, 20)] and len(tracks.people) == 2
    assert not any(one.blurred for one in results)
    assert max(likeness(scene, results, 1) + likeness(scene, results, 2)) < 0.5


def test_two_people_who_cross_keep_their_strangers():
    scene = Scene({1: lambda k: (10 + 6 * k, 20), 2: lambda k: (130 - 6 * k, 26)}, 21)
    scene.blind = {10: {1}, 9: {1}, 11: {1}}
    tracks, results = run(scene)
    assert len(tracks.people) == 2
    first = next(one.person for one in tracks.places(0) if one.face.box[0] < 60)
    assert next(one.person for one in tracks.places(20) if one.face.box[0] > 100) == first
    apart = [one for k, one in enumerate(results) if not 6 <= k <= 14]
    assert all(sorted(one.changed) == [0, 1] for one in apart)
    assert max(likeness(scene, results, 2)) < 0.5


def test_who_comes_back_is_the_same_stranger():
    scene = Scene({1: lambda k: (10, 20) if k < 20 else (120, 40) if k >= 60 else None}, 80)
    tracks, results = run(scene)
    assert len(tracks.tracks) == 2 and [one.tracks for one in tracks.people] == [(0, 1)]
    first, later = (results[k].image[:, y + 16 : y + 40, x + 14 : x + 34] for k, x, y in ((5, 10, 20), (70, 120, 40)))
    assert float((first - later).abs().mean()) < 0.02


def test_a_face_in_one_frame_only():
    scene = Scene({1: lambda k: (10, 20) if k == 7 else None}, 15)
    _, results = run(scene)
    assert results[7].changed == (0,) and likeness(scene, results, 1)[0] < 0.5
    assert [k for k, one in enumerate(results) if one.blurred] == [2, 3, 4, 5, 6, 8, 9, 10, 11, 12]


def test_a_clip_of_one_frame():
    scene = Scene({1: still(10, 20)}, 1)
    _, results = run(scene)
    assert len(results) == 1 and results[0].changed == (0,)


def test_a_clip_without_a_face_is_an_error():
    with pytest.raises(NoFaceError, match="in any of the 5 frames"):
        run(Scene({}, 5))


def test_whom_only_the_second_look_finds_changes_too():
    scene = Scene({1: still(10, 20), 2: still(100, 30)}, 6)
    scene.seen_later = {2}
    _, results = run(scene)
    assert max(likeness(scene, results, 2)) < 0.5
    assert all(-1 in one.changed for one in results)


@pytest.mark.parametrize("found", ["at once", "later"])
def test_a_face_that_comes_out_unchanged_is_blurred(found):
    scene = Scene({1: still(10, 20), 2: still(100, 30)}, 6)
    scene.seen_later = {2} if found == "later" else set()
    _, results = run(scene, scene.ports(invert_face=as_is))
    assert max(likeness(scene, results, 1) + likeness(scene, results, 2)) < 0.6
    assert all(len(one.blurred) == 2 and not one.changed and one.stronger == 2 for one in results)


def test_only_where_it_takes_more_is_guidance_stronger():
    scene, asked = Scene({1: still(10, 20)}, 6), []

    def invert_face(crops, identity, index):
        def sample(guidance, instead=None):
            asked.append(guidance)
            new = stranger(crops, identity, index)(guidance).clone()
            if guidance > -12:
                new[3] = crops[3]
            return new

        return sample

    _, results = run(scene, scene.ports(invert_face=invert_face))
    assert [one.stronger for one in results] == [0, 0, 0, 1, 0, 0] and asked == [-10.0, -15.0]
    assert max(likeness(scene, results, 1)) < 0.5 and not any(one.blurred for one in results)


def test_a_face_that_the_recogniser_cannot_read_is_blurred():
    scene = Scene({1: still(10, 20)}, 4)

    def embed(image, face):
        raise NoFaceError("no face in image 1 of 1")

    _, results = run(scene, scene.ports(embed=embed))
    assert all(one.blurred == (0,) for one in results) and max(likeness(scene, results, 1)) < 0.6


def test_who_is_to_be_kept_stays_bit_for_bit_and_nobody_else():
    scene = Scene({1: still(10, 20), 2: still(100, 30)}, 12)
    scene.blind = {5: {1}}
    wanted = Identity(features(scene.image(0), face_at(10, 20))[None])
    tracks, results = run(scene, options=replace(WISHES, keep=(wanted,), likeness=0.8))
    assert len(tracks.kept) == 1
    for k, one in enumerate(results):
        assert torch.equal(one.image[:, :, :70], scene.image(k)[:, :, :70])
    assert max(likeness(scene, results, 2)) < 0.5


def test_a_frame_of_a_kept_track_that_shows_somebody_else_is_changed():
    """Whoever slips into the place of a person to keep."""
    scene = Scene({1: lambda k: (10, 20) if k != 5 else None, 2: lambda k: (10, 20) if k == 5 else None}, 10)
    wanted = Identity(features(scene.image(0), face_at(10, 20))[None])
    _, results = run(scene, options=replace(WISHES, keep=(wanted,), likeness=0.8))
    assert likeness(scene, results, 2)[0] < 0.6


def test_parts_of_a_clip_come_out_as_the_whole_does():
    scene = Scene({1: lambda k: (10 + k, 20), 2: still(100, 30)}, 24)
    tracks, results = run(scene)
    later = list(anonymize_frames(scene.frames(16), 16, tracks, scene.ports(), WISHES))
    assert all(torch.equal(a.image, b.image) for a, b in zip(results[16:], later, strict=True))


def test_an_aim_finds_the_strength_on_the_best_frame_once():
    scene, asked = Scene({1: still(10, 20)}, 20), []

    def invert_face(crops, identity, index):
        return lambda guidance, instead=None: (
            asked.append((len(crops), guidance)) or stranger(crops, identity, index)(guidance)
        )

    with pytest.raises(ValueError, match="needs a judge"):
        find_strengths(scene.frames(), run(scene)[0], scene.ports(), replace(WISHES, aim=Target()))
    judge = Judge()
    ports, options = scene.ports(judges=[judge], invert_face=invert_face), replace(WISHES, aim=Target(0.0, 3))
    tracks = find_tracks(scene.frames(), ports, options)
    assert find_strengths(scene.frames(), tracks, ports, WISHES) == {}
    strengths = find_strengths(scene.frames(), tracks, ports, options)
    assert [count for count, _ in asked] == [1, 1, 1] and strengths == {0: max(guidance for _, guidance in asked)}
    asked.clear()
    list(anonymize_frames(scene.frames(), 0, tracks, ports, options, strengths))
    assert {guidance for _, guidance in asked} == set(strengths.values())
    with pytest.raises(StillRecognisedError):
        find_strengths(scene.frames(), tracks, scene.ports(judges=[judge], invert_face=as_is), options)


def test_a_face_that_a_judge_knows_is_made_again_or_blurred():
    scene = Scene({1: still(10, 20)}, 4)

    def faded(crops, identity, index):
        return lambda guidance, instead=None: 0.45 * crops + 0.55 * stranger(crops, identity, index)(guidance)

    _, alone = run(scene, scene.ports(invert_face=faded))
    _, judged = run(scene, scene.ports(invert_face=faded, judges=[Judge()]))
    assert all(one.blurred for one in judged)
    assert not any(one.blurred for one in alone)
    assert max(likeness(scene, judged, 1)) < 0.5 < max(likeness(scene, alone, 1))


def test_images_that_are_frames_come_back_as_many(caplog):
    scene, calls = Scene({1: lambda k: (10 + k, 20)}, 10), []
    images = [scene.image(k) for k in range(10)]
    done = anonymize_images(images, scene.ports(judges=[Judge()]), WISHES, on_frame=lambda *one: calls.append(one))
    assert max(likeness(scene, done.frames, 1)) < 0.5
    assert done.record["frames"] == 10 and done.record["people"][0]["made"] == 10
    assert done.record["people"][0]["verdict"] == "not re-identified by 1 of 1 judges"
    assert calls[:10] == [("find", k, 10) for k in range(1, 11)] and calls[-1] == ("make", 10, 10)


@pytest.mark.parametrize("no_face", ["raise", "blur", "pass"])
def test_images_that_show_nobody(no_face):
    scene = Scene({}, 3)
    images = [scene.image(k) for k in range(3)]
    if no_face == "raise":
        with pytest.raises(NoFaceError):
            anonymize_images(images, scene.ports(), WISHES, no_face)
        return
    done = anonymize_images(images, scene.ports(), WISHES, no_face)
    same = [torch.equal(a, b.image) for a, b in zip(images, done.frames, strict=True)]
    assert same == [no_face == "pass"] * 3


def test_a_mask_confines_the_change():
    scene = Scene({1: still(10, 20), 2: still(100, 30)}, 4)
    left = torch.zeros(1, 120, 200)
    left[:, :, :90] = 1
    with pytest.raises(ValueError, match="leave 0% of a face to change"):
        run(scene, options=replace(WISHES, where=lambda frame: left))
    scene.people.pop(2)
    _, results = run(scene, options=replace(WISHES, where=lambda frame: left))
    for k, one in enumerate(results):
        assert torch.equal(one.image[:, :, 90:], scene.image(k)[:, :, 90:])
    assert max(likeness(scene, results, 1)) < 0.5
