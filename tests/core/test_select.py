"""Which faces are meant: numbers that choose nobody by mistake are refused."""

import pytest
import torch

from revpers_core.faces import select
from revpers_core.faces.face import Face


def face_at(x: float) -> Face:
    points = torch.tensor([[4.0, 4.0], [8.0, 4.0], [6.0, 6.0], [4.0, 8.0], [8.0, 8.0]])
    return Face((x, 0.0, x + 12.0, 12.0), points + torch.tensor([x, 0.0]), 0.9)


@pytest.mark.parametrize("numbers", ["2-1", "2-", "-2", ",", " , ", "a", "1;2", "1.0", "1--2"])
def test_numbers_that_choose_nobody_or_mean_more_are_refused(numbers):
    """A range that is empty chose nobody: everyone would have stayed as they were."""
    with pytest.raises(ValueError, match="numbers must be like '1, 3-5', got"):
        select.numbered([face_at(10 * i) for i in range(3)], numbers)


@pytest.mark.parametrize("numbers", ["0", "4", "2-4", "1-999999999999", "0-3"])
def test_numbers_of_nobody_are_refused_at_once(numbers):
    with pytest.raises(ValueError, match="there is no face number"):
        select.numbered([face_at(10 * i) for i in range(3)], numbers)


def test_numbers_choose_by_the_overlay():
    faces = [face_at(10 * i) for i in range(5)]
    assert select.numbered(faces, "1, 3-4,3") == [faces[i] for i in (0, 2, 3)]
