"""The pocket detector: what it is shown, what it should answer, and what the shipped one finds of unseen people."""

import numpy as np
import pytest
import torch
from gallery_faces import aligned, place
from torch.nn.functional import interpolate

from revpers_core.faces import centerface, detect
from revpers_core.faces.detect import Search, find_faces
from revpers_core.lab import data
from revpers_core.lab import detector as pocket_detector
from revpers_core.lab.detector import CANVAS, Detector, boxes, compose, detector, targets
from revpers_core.lab.world.shot import training_shot
from revpers_core.pocket import DETECTOR


@pytest.fixture(scope="module")
def shipped():
    return detect.load(DETECTOR)


@pytest.fixture(scope="module")
def crowd():
    """(60, 3, 160, 160) portraits and their points in the unit square."""
    pictures, points = zip(*(aligned(person, person % 4, 160) for person in range(60)), strict=True)
    return torch.stack(pictures), (torch.stack(points) + 0.5) / 160


def test_maps_are_read_back_as_the_faces_they_were_made_of():
    points = torch.stack([aligned(k, 0, side)[1] for k, side in enumerate((60, 90, 120))])
    points += torch.tensor([[100.0, 90.0], [10.0, 110.0], [5.0, 3.0]])[:, None]
    heat, rest = targets(points)
    found = centerface.decode([heat, rest[:2], rest[2:4], rest[4:14]], floor=0.99)
    assert len(found) == 3
    for face in found:
        gap = (points - face.points).norm(dim=-1).amax(-1)
        assert gap.min() < 0.01
        assert torch.allclose(torch.tensor(face.box), boxes(points[gap.argmin()]), atol=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_points_lie_where_the_faces_are_put(seed):
    """Photographs that are dark but for a light spot at each of the five points."""
    points = torch.stack([(aligned(k)[1] + 0.5) / 128 for k in range(6)])
    at = (torch.arange(128) + 0.5) / 128
    gap = ((at[:, None] - points[..., 1, None, None]) ** 2 + (at - points[..., 0, None, None]) ** 2).sqrt()
    photos = (gap.amin(1) < 0.025).float()[:, None].expand(-1, 3, -1, -1)
    scene = compose(torch.zeros(3, 128, 128), photos, points, torch.Generator().manual_seed(seed))
    inside = ((scene.points > 2) & (scene.points < CANVAS - 3)).all(-1)
    spots = scene.points[inside].round().long()
    assert (scene.image[0, spots[:, 1], spots[:, 0]] > 0.3).all()
    assert len(scene.points) or not scene.image.any()


def test_a_step_down_the_gradient_is_a_step_down(tmp_path, monkeypatch):
    """Of the loss of the same pictures, here of noise."""
    monkeypatch.setattr(pocket_detector, "BATCH", 3)
    random, (person, taken) = np.random.default_rng(0), training_shot(0, 0)
    for name, count in (("people/people-00000", 4), ("places/places", 8)):
        path = tmp_path / f"{name}.npz"
        path.parent.mkdir()
        images = random.integers(256, size=(count, 160, 160, 3), dtype=np.uint8)
        points = np.tile((aligned(1)[1].numpy() + 0.5) / 128, (count, 1, 1))
        np.savez(path, images=images, points=points, person=np.full(count, person), shot=np.full(count, taken))
    task = detector(data.Photos(tmp_path / "people"), torch.device("cpu"))

    def loss() -> torch.Tensor:
        terms = task.loss(torch.Generator().manual_seed(1), 0.0)
        assert set(terms) == {"heat", "size", "offset", "points"}
        return torch.stack(list(terms.values())).sum()

    before = loss()
    before.backward()
    with torch.no_grad():
        for parameter in task.modules["net"].parameters():
            parameter -= 1e-3 * parameter.grad
        assert loss() < before


def test_outputs_are_of_centerfaces_form():
    heat, extent, offset, points = Detector().eval()(torch.rand(1, 3, 64, 96) * 255)
    assert [tuple(one.shape) for one in (heat, extent, offset, points)] == [(1, n, 16, 24) for n in (1, 2, 2, 10)]
    assert heat.min() >= 0 and heat.max() <= 1


def test_it_is_small():
    assert DETECTOR.stat().st_size <= 500_000


@pytest.mark.parametrize("size", [64, 128, 160])
def test_it_finds_unseen_people_side_by_side(size, shipped, crowd):
    images, points = crowd
    images, points = interpolate(images, (size, size), mode="bilinear", antialias=True), points * size - 0.5
    hits, extra, errors = 0, 0, []
    for k in range(0, len(images), 3):
        found = find_faces(torch.cat(list(images[k : k + 3]), -1), [shipped])
        wanted = points[k : k + 3] + torch.tensor([[[i * size, 0]] for i in range(3)])
        gaps = [min(((f.points - one).norm(dim=-1).mean().item() for f in found), default=1e9) for one in wanted]
        near = [gap for gap in gaps if gap < 0.1 * size]
        hits, extra, errors = hits + len(near), extra + len(found) - len(near), errors + near
    print(f"{size} px: {hits} of {len(images)}, {extra} besides, points {np.mean(errors):.2f} px off")
    assert hits >= 0.95 * len(images)
    assert extra <= 1
    assert np.mean(errors) < 0.02 * size + 1.5


def test_it_finds_nobody_where_nobody_is(shipped):
    places = torch.stack([place(number) for number in range(60)])
    strips = [torch.cat(list(part), -1) for part in places.split(3)]
    assert [len(find_faces(strip, [shipped], Search(turn="never"))) for strip in strips] == [0] * len(strips)
