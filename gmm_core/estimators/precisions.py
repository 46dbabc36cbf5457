"""Precisions: covariances as scikit-learn's attributes keep them, and back to what whitens.

A precision is the inverse of a covariance S. Its factor is an upper triangular U with U U' = S^-1:
the transpose of this package's whitener. Both are stored in the shape of the covariances.
"""

from __future__ import annotations

import numpy as np

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import positive
from gmm_core.covariances.kind import CovarianceKind
from gmm_core.gaussian import kind_of
from gmm_core.mixture import Mixture

__all__ = ["covariances_of", "factors_of", "precisions_of", "whiteners_of"]


def factors_of(mixture: Mixture) -> Array:
    """Factors of the precisions, in the shape of the covariances.

    >>> factors_of(Mixture([1.0], [[0.0]], [4.0], "spherical")).tolist()
    [0.5]
    """
    whiteners = mixture.whiteners
    if whiteners.ndim == 2:
        return whiteners[:, 0].copy() if mixture.kind.isotropic else whiteners.copy()
    factors = whiteners.transpose(0, 2, 1)
    return factors[0].copy() if mixture.covariances.ndim == 2 else factors.copy()


def precisions_of(factors: Array, covariance_type: str) -> Array:
    """Precisions from their factors, in the same shape.

    >>> precisions_of(np.array([[0.5, 2.0]]), "diag").tolist()
    [[0.25, 4.0]]
    """
    if kind_of(covariance_type).scatter_type == "diag":
        return np.square(factors)
    precisions: Array = factors @ factors.swapaxes(-1, -2)
    return precisions


def whiteners_of(factors: Array, kind: CovarianceKind, k: int, d: int) -> Array:
    """(k, d, d) or (k, d) whiteners from factors of the shape `kind.shape(k, d)`."""
    if kind.scatter_type == "full":
        return np.broadcast_to(factors.swapaxes(-1, -2), (k, d, d))
    return np.broadcast_to(factors[:, None] if kind.isotropic else factors, (k, d))


def covariances_of(precisions: Array, covariance_type: str) -> Array:
    """The inverse of each precision, exactly symmetric; raises `InvalidInput` unless all have one.

    >>> covariances_of(np.array([[2.0, 0.0], [0.0, 4.0]]), "tied").round(12).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    if kind_of(covariance_type).scatter_type == "diag":
        positive(precisions.reshape(len(precisions), -1))
        return 1.0 / precisions
    matrices = precisions if precisions.ndim == 3 else precisions[None]
    roots = kind_of("full").whiteners(matrices, *matrices.shape[:2])
    covariances: Array = roots.swapaxes(-1, -2) @ roots
    return covariances if precisions.ndim == 3 else covariances[0]
