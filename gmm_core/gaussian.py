"""Gaussians: the log-density, and the kinds of covariance by name.

A kind of covariance is a type (`CovarianceKind`) that knows everything which depends on how
covariances are stored. Another kind is one more class and one more entry of `KINDS`.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from gmm_core.arrays import Array
from gmm_core.covariances.kind import CovarianceKind, CovarianceType
from gmm_core.covariances.kinds import Diag, Full, Spherical, Tied
from gmm_core.errors import InvalidInput

__all__ = [
    "KINDS",
    "CovarianceKind",
    "CovarianceType",
    "kind_of",
    "log_density",
    "log_normalise",
]


def log_normalise(log_joint: Array) -> tuple[Array, Array]:
    """Log of the row-wise sum (n,), and the logs (n, k) of each part's share in it.

    Shares are taken from what is left after the largest part: far out, where log_joint is so large
    that its sum rounds to any of its parts, they still sum to 1.
    """
    top = log_joint.max(axis=1)
    left = log_joint - top[:, None]
    total = np.log(np.exp(left).sum(axis=1))
    return top + total, left - total[:, None]


KINDS: dict[str, CovarianceKind] = {
    kind.name: kind for kind in (Full(), Tied(), Diag(), Spherical())
}


def kind_of(covariance_type: str) -> CovarianceKind:
    """The kind of that name; raises `InvalidInput` naming those that exist."""
    if not isinstance(covariance_type, str) or covariance_type not in KINDS:
        raise InvalidInput(
            "unknown covariance_type",
            got=covariance_type,
            bound=", ".join(get_args(CovarianceType)),
        )
    return KINDS[covariance_type]


def log_density(
    X: Array, means: Array, covariances: Array, covariance_type: CovarianceType
) -> Array:
    """(n, k) log-densities in nats of rows `X` (n, d) under k Gaussians with `means` (k, d)."""
    kind = kind_of(covariance_type)
    return kind.log_density(X, means, kind.whiteners(covariances, *means.shape))
