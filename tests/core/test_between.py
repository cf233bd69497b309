"""Of a clip's frames some are sampled, the others blended: which, how, and how many faces that saves."""

import pytest
import torch
from clips import WISHES, Scene, as_is, face_at, features, still, stranger

from revpers_core.faces.judges import cosine
from revpers_core.media.between import blended, faces_sampled, sampled_rows
from revpers_core.media.video import anonymize_frames, find_tracks, frames_at_once
from revpers_core.media.video_ports import VideoOptions

TWO = VideoOptions(WISHES.guidance, every=2)


@pytest.mark.parametrize(
    ("places", "every", "rows"),
    [
        ([(0, k) for k in range(9)], 1, list(range(9))),
        ([(0, k) for k in range(9)], 4, [0, 4, 8]),
        ([(0, k) for k in range(8)], 4, [0, 4, 7]),
        ([(0, 3)], 4, [0]),
        # a gap, and another track in the very next frame (a cut): both sides are sampled
        ([(0, 0), (0, 1), (0, 2), (0, 6), (0, 7), (0, 8)], 4, [0, 2, 3, 5]),
        ([(0, 0), (0, 1), (0, 2), (5, 3), (5, 4), (5, 5)], 4, [0, 2, 3, 5]),
    ],
)
def test_the_ends_of_every_run_are_sampled(places, every, rows):
    assert sampled_rows(places, every) == rows


def test_the_others_are_blends_of_the_two_around_them():
    results = torch.tensor([0.0, 4.0, 10.0])[:, None, None, None].expand(-1, 3, 2, 2)
    assert blended(results, [0, 4, 6])[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 7, 10]
    assert torch.equal(blended(results, [0, 1, 2]), results)


def test_half_of_the_faces_are_sampled_and_every_frame_changes():
    scene, counts = Scene({1: still(10, 20), 2: lambda k: (100 + k, 30)}, 20), []

    def invert_face(crops, identity, index):
        counts.append(len(crops))
        return stranger(crops, identity, index)

    ports = scene.ports(invert_face=invert_face)
    tracks = find_tracks(scene.frames(), ports, TWO)
    results = list(anonymize_frames(scene.frames(), 0, tracks, ports, TWO))
    assert frames_at_once((120, 200), 2) == 17
    # of 17 frames 9, of the last 3 two
    assert counts == [9, 9, 2, 2] and faces_sampled(tracks, 2, 17) == sum(counts)
    assert faces_sampled(tracks, 1, 8) == tracks.face_frames == 40
    for k, result in enumerate(results):
        assert sorted(result.changed) == [0, 1] and not result.blurred
        for person, where in scene.people.items():
            face = face_at(*where(k))
            assert cosine(features(result.image, face), features(scene.image(k), face)) < 0.5, person


@pytest.mark.parametrize("every", [0, 5])
def test_how_many_are_left_out_has_a_range(every):
    with pytest.raises(ValueError, match="every must be from 1 to 4"):
        VideoOptions(-10.0, every=every)


def test_a_blend_that_shows_the_person_is_blurred_like_any_result():
    scene = Scene({1: still(10, 20)}, 5)
    ports = scene.ports(invert_face=as_is)
    tracks = find_tracks(scene.frames(), ports, TWO)
    results = list(anonymize_frames(scene.frames(), 0, tracks, ports, TWO))
    assert all(result.blurred for result in results)
