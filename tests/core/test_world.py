"""The world of rendered faces: seeds, factors, and who and how kept apart."""

import pytest
import torch

from revpers_core.lab.sheet import rows
from revpers_core.pocket import world

PLAIN = {
    "yaw": 0, "pitch": 0, "roll": 0, "smile": 0, "open": 0, "gaze_x": 0, "gaze_y": 0, "lid": 0.9, "noise": 0, "blur": 0,
    "shift_x": 0.5, "shift_y": 0.5, "zoom": 0.5,
}  # fmt: skip


def plain(identities, scenes):
    return world.edited(world.sample(identities, scenes), **PLAIN)


def test_item_depends_on_its_own_seeds_only():
    many = world.sample([3, 1 << 40, 7, 9, 11], [70, 71, 72, 73, 74])
    one = world.sample([7], [72])
    assert torch.equal(many.identity[2], one.identity[0]) and torch.equal(many.scene[2], one.scene[0])
    torch.testing.assert_close(world.render(many, 64)[2], world.render(one, 64)[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(world.keypoints(many)[2], world.keypoints(one)[0], atol=1e-5, rtol=0)


def test_identity_and_scene_are_independent():
    a, b, c = world.sample([1], [1]), world.sample([1], [2]), world.sample([2], [1])
    assert torch.equal(a.identity, b.identity) and not torch.equal(a.scene, b.scene)
    assert torch.equal(a.scene, c.scene) and not torch.equal(a.identity, c.identity)
    many = world.sample(range(2000), range(2000))
    both = torch.cat((many.identity, many.scene), 1).T.corrcoef()
    across = both[: world.IDENTITY, world.IDENTITY :]
    assert across.abs().max() < 0.1  # 2000 items: chance alone gives about 0.09 among these pairs


def test_render_range_and_shape():
    image = world.render(world.sample([1, 2, 3], [4, 5, 6]), 48)
    assert image.shape == (3, 3, 48, 48) and image.dtype == torch.float32
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1 and image.std() > 0.1
    empty = world.backgrounds([4, 5, 6], 48)
    assert empty.shape == image.shape and empty.min() >= 0 and empty.max() <= 1


def test_factors_stay_in_their_ranges():
    faces = world.sample([0] * 500, range(500))
    got = dict(zip(world.FACTORS, world.factors(faces).unbind(1), strict=True))
    limits = {"yaw": 35, "pitch": 20, "roll": 8}
    for name, value in got.items():
        assert value.abs().max() <= limits.get(name, 1) + 1e-5, name
        assert value.std() > 0.2 * limits.get(name, 1), name


@pytest.mark.parametrize(("factor", "value", "axis"), [("yaw", 20.0, 0), ("pitch", -15.0, 1)])
def test_turning_moves_the_nose_against_the_eyes(factor, value, axis):
    still = plain(range(8), range(8))
    offsets = []
    for sign in (-1, 0, 1):
        p = world.keypoints(world.edited(still, **{factor: sign * value}))
        offsets.append((p[:, 2] - p[:, [0, 1, 3, 4]].mean(1))[:, axis])
    assert (offsets[0] < offsets[1]).all() and (offsets[1] < offsets[2]).all()


def test_roll_tilts_the_eyes_by_its_angle():
    p = world.keypoints(world.edited(plain(range(4), range(4)), roll=8.0))
    across = p[:, 1] - p[:, 0]
    torch.testing.assert_close(
        torch.rad2deg(torch.atan2(-across[:, 1], across[:, 0])), torch.full((4,), 8.0), atol=1e-2, rtol=0
    )


def test_keypoints_follow_the_ffhq_template():
    template = torch.tensor([[0.377, 0.469], [0.623, 0.469], [0.501, 0.613], [0.393, 0.725], [0.611, 0.725]])
    p = world.keypoints(plain(range(200), range(200)))
    assert (p.mean(0) - template).abs().max() < 0.03
    posed = world.keypoints(world.sample(range(200), range(200)))
    assert (posed[:, :2].mean((0, 1)) - template[:2].mean(0)).abs().max() < 0.03
    assert posed.min() > 0.15 and posed.max() < 0.9


def test_a_smile_changes_the_mouth_not_the_person():
    still = plain(range(6), range(6))
    smiling = world.edited(still, smile=1.0)
    assert torch.equal(still.identity, smiling.identity)
    change = (world.render(smiling, 64) - world.render(still, 64)).abs().mean(1)
    mouth, brow, above = change[:, 42:52, 22:42], change[:, 24:27, 22:42], change[:, :6]
    assert (mouth.mean((1, 2)) > 2 * brow.mean((1, 2))).all() and above.mean() < 0.01
    corners = world.keypoints(smiling)[:, 3:, 1] - world.keypoints(smiling)[:, 2:3, 1]
    assert (corners < world.keypoints(still)[:, 3:, 1] - world.keypoints(still)[:, 2:3, 1]).all()


def test_gaze_moves_the_dark_of_the_eye():
    still = world.edited(plain(range(8), range(8)), brow=0.5, light_x=0.0, light_y=0.4)
    where = []
    for gaze in (-1.0, 1.0):
        faces = world.edited(still, gaze_x=gaze)
        image, eye = world.render(faces, 128).mean(1), (world.keypoints(faces)[:, 1] * 128).long()
        patches = torch.stack([image[i, y - 2 : y + 3, x - 7 : x + 8].mean(0) for i, (x, y) in enumerate(eye.tolist())])
        dark = (patches.amax(1, keepdim=True) - patches) ** 3
        where.append((dark * torch.arange(15)).sum(1) / dark.sum(1))
    assert (where[1] - where[0] > 1.0).float().mean() >= 0.85


def test_people_of_one_kind_differ_more_than_photographs_by_rounding():
    faces = world.sample(range(60), [5] * 60)
    kinds = world.attributes(faces)
    assert kinds.dtype == torch.int64 and (kinds >= 0).all() and (kinds.amax(0) <= torch.tensor([2, 1, 4])).all()
    assert all(len(kinds[:, i].unique()) == n for i, n in enumerate((3, 2, 5)))
    twins = world.sample([0, 1], [5, 5])
    twins.identity[1, :3] = twins.identity[0, :3]
    image = world.render(twins, 64)[:, :, 20:58, 14:50]
    assert (image[0] - image[1]).abs().mean() > 0.02


def test_words_say_what_is_there():
    faces = world.edited(world.sample(range(40), range(40)), smile=0.9, open=0.0)
    said = world.words(faces)
    for i, (age, sex, skin) in enumerate(world.attributes(faces).tolist()):
        assert (said[i]["age"], said[i]["sex"], said[i]["skin"]) == (
            world.AGES[age],
            world.SEXES[sex],
            world.SKINS[skin] + " skin",
        )
        assert said[i]["expression"] == "smiling" and not (said[i]["beard"] and said[i]["sex"] == "woman")
    assert len({item["hair"] for item in said}) > 5
    assert world.words(world.edited(faces, open=1.0))[0]["expression"] == "open mouth"


def test_unknown_factor_is_refused():
    with pytest.raises(ValueError, match="scene factor must be one of"):
        world.edited(world.sample([1], [1]), smirk=1.0)


def test_a_sweep_of_the_contact_sheet_moves_its_factor_alone():
    for name, faces in rows().items():
        if name in world.FACTORS:
            moved = world.factors(faces).std(0) > 0
            assert [f for f, m in zip(world.FACTORS, moved, strict=True) if m] == [name]
