"""Guidance formulas. They hold for noise and for x0 predictions alike, being affine with weights that sum to one."""

from torch import Tensor

from .trajectory import Branches, Guide, Predict


def guide(uncond: Tensor, cond: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance (arXiv:2207.12598), unclamped: 0 is the unconditional branch, below 0 walks away
    from the conditional one, which then weighs ``guidance`` and the unconditional ``1 - guidance``."""
    return uncond + guidance * (cond - uncond)


def of_recorded(guidance: float) -> Guide:
    """Guidance on a trajectory's kept predictions."""
    return lambda uncond, cond, x, sigma: guide(uncond, cond, guidance)


def of_network(branches: Branches, guidance: float) -> Predict:
    """Guidance on fresh predictions of both branches."""
    return lambda x, sigma: guide(*branches(x, sigma), guidance)
