"""Distance of two sets of pictures as distributions of a network's features."""

import torch
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance of the Gaussians fitted to features (N, D) and (M, D), N and M 2 or more; 0 is the same, NaN
    where a feature is.

    With the pool features of FID's own Inception network it is FID (Heusel et al. 2017, eq. 6). With any other network
    it is not: name the network beside the number. Its bias falls with N, so compare only sets of one size.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected features (N, D), 2 or more of one D, got {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = a.double(), b.double()
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("nan")
    root = _root(_covariance(a))
    mixed = torch.linalg.eigvalsh(root @ _covariance(b) @ root).clamp(min=0).sqrt().sum()
    spread = a.var(0).sum() + b.var(0).sum() - 2 * mixed
    return float((a.mean(0) - b.mean(0)).square().sum() + spread)


def _covariance(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x.T @ x / (len(x) - 1)


def _root(matrix: Tensor) -> Tensor:
    """Of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
