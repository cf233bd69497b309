"""Pose and expression as five points tell them; where a face looks, five points cannot tell.

They need no network, so no network's blind spots enter; but they are coarse. On 1,000 rendered faces yaw is right to
2.7 degrees (RMS), roll to 1.6, pitch only to 11, since a long nose looks like a nod; the mouth's width has r = .56 with
the smile. Two different faces in one pose differ by as much.
"""

import torch
from torch import Tensor

HEAD = (
    (-0.500, 0.000, 0.000),
    (0.500, 0.000, 0.000),
    (0.000, -0.592, 0.455),
    (-0.436, -1.034, 0.005),
    (0.436, -1.034, 0.005),
)
"""Eyes, nose tip and mouth corners of a level head, in eye distances, y up and z to the viewer: the mean of 400 heads
that were drawn by formulas, without expression."""


def pose(points: Tensor) -> Tensor:
    """Yaw, pitch and roll in degrees, (N, 3), of points (N, 5, 2) as `Face` has them.

    Yaw is positive to the viewer's right, pitch upwards, roll counter-clockwise. Weak perspective, least squares over
    ``HEAD`` (POS, DeMenthon and Davis 1995).
    """
    model = torch.tensor(HEAD, dtype=torch.float64)
    projected = points.double() * torch.tensor([1.0, -1.0], dtype=torch.float64)
    projected = projected - projected.mean(1, keepdim=True)
    axes = (torch.linalg.pinv(model - model.mean(0)) @ projected).transpose(1, 2)
    left, _, right = torch.linalg.svd(axes, full_matrices=False)
    x, y = (left @ right).unbind(1)
    z = torch.linalg.cross(x, y)
    # x, y, z are the camera's axes in the head's; the rotation is roll @ yaw @ pitch.
    yaw, pitch = torch.atan2(-z[:, 0], (z[:, 1] ** 2 + z[:, 2] ** 2).sqrt()), -torch.atan2(z[:, 1], z[:, 2])
    return torch.rad2deg(torch.stack([yaw, pitch, torch.atan2(y[:, 0], x[:, 0])], 1))


def pose_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean over yaw, pitch and roll of |difference| in degrees, (N,), of points (N, 5, 2)."""
    difference = pose(a) - pose(b)
    return ((difference + 180) % 360 - 180).abs().mean(1)


def mouth(points: Tensor) -> Tensor:
    """Width of the mouth and height of its corners below the nose tip, in eye distances, along the face's own axes:
    (N, 2) of points (N, 5, 2)."""
    points = points.double()
    eyes = points[:, 1] - points[:, 0]
    apart = eyes.norm(dim=1, keepdim=True)
    across = eyes / apart
    down = torch.stack([-across[:, 1], across[:, 0]], 1)
    wide = ((points[:, 4] - points[:, 3]) * across).sum(1, keepdim=True) / apart
    corners = points[:, 3:].mean(1) - points[:, 2]
    return torch.cat([wide, (corners * down).sum(1, keepdim=True) / apart], 1)


def expression_distance(a: Tensor, b: Tensor) -> Tensor:
    """How far the mouth's shape moved, in eye distances, (N,), of points (N, 5, 2)."""
    return (mouth(a) - mouth(b)).norm(dim=1)
