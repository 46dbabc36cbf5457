"""The only Cholesky factorisation of this package."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput

__all__ = ["cholesky", "inverse_cholesky", "lower", "positive", "whitener_diagonal"]

_REMEDY = "add regularisation, drop features that depend on others, or use fewer components"


def inverse_cholesky(covariances: Array) -> Array:
    """(k, d, d) covariances S to lower triangular W with W S W' = I.

    With W the squared Mahalanobis distance is |W (x - mean)|^2 and log det W = -1/2 log det S.
    Raises `InvalidInput` naming the first component that is not positive definite.
    """
    factors, deviations = _factorise(covariances)
    inverse = np.linalg.solve(factors, np.eye(covariances.shape[-1]))
    # Back substitution leaves rounding above the diagonal; there is nothing there.
    whiteners: Array = np.where(lower(covariances.shape[-1]), inverse, 0.0) / deviations[:, None, :]
    return whiteners


def cholesky(covariances: Array) -> Array:
    """(k, d, d) covariances S to lower triangular L with L L' = S; raises as `inverse_cholesky`."""
    factors, deviations = _factorise(covariances)
    root: Array = factors * deviations[:, :, None]
    return root


@cache
def lower(d: int) -> NDArray[np.bool_]:
    """(d, d) whether an element is on or below the diagonal."""
    mask = np.tri(d, dtype=np.bool_)
    mask.flags.writeable = False
    return mask


def _factorise(covariances: Array) -> tuple[Array, Array]:
    """Cholesky factors of the correlations (k, d, d), and the deviations (k, d).

    Correlations, so that features in very different units cost no digits.
    """
    deviations = np.sqrt(positive(np.diagonal(covariances, axis1=1, axis2=2)))
    correlations = covariances / deviations[:, :, None] / deviations[:, None, :]
    try:
        factors = np.asarray(np.linalg.cholesky(correlations), dtype=np.float64)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(correlations)[:, 0]
        raise InvalidInput(
            f"covariance of component {smallest.argmin()} is not positive definite",
            got=float(smallest.min()),
            bound="smallest eigenvalue of the correlations above 0",
            remedy=_REMEDY,
        ) from None
    return factors, deviations


def positive(variances: Array) -> Array:
    """The variances (k, d) themselves; raises `InvalidInput` when one is not above 0."""
    bad = np.flatnonzero((variances <= 0).any(axis=1))
    if bad.size:
        raise InvalidInput(
            f"variance of component {bad[0]} is not positive",
            got=float(variances[bad[0]].min()),
            bound="above 0",
            remedy=_REMEDY,
        )
    return variances


def whitener_diagonal(whiteners: Array) -> Array:
    """(k, d) diagonals of whiteners (k, d, d), or the whiteners themselves where they are (k, d)."""
    return np.diagonal(whiteners, axis1=1, axis2=2) if whiteners.ndim == 3 else whiteners
