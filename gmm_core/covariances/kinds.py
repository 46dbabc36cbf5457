"""The four kinds of covariance, as implementations of `CovarianceKind`.

"tied" is "full" with one matrix for all components, "spherical" is "diag" with one variance for
all features; each says only where it differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import inverse_cholesky, positive
from gmm_core.covariances.kind import CovarianceKind, CovarianceType
from gmm_core.errors import InvalidInput

__all__ = ["Diag", "Full", "Spherical", "Tied"]

_LOG_TWO_PI = float(np.log(2 * np.pi))
_FURTHEST = 1e300  # squared distance beyond which a row is just "far": keeps sums of it finite


class Full(CovarianceKind):
    """(k, d, d): every component has a matrix of its own."""

    name: CovarianceType = "full"
    scatter_type: CovarianceType = "full"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d, d)

    def stored(self, d: int) -> int:
        return d * (d + 1) // 2

    def asymmetry(self, covariances: Array) -> float:
        size = np.sqrt(np.abs(np.diagonal(covariances, axis1=-2, axis2=-1)))
        size = np.maximum(size[..., :, None] * size[..., None, :], np.finfo(np.float64).tiny)
        return float((np.abs(covariances - covariances.swapaxes(-1, -2)) / size).max())

    def whiteners(self, covariances: Array, k: int, d: int) -> Array:
        return inverse_cholesky(covariances)

    def log_density(self, X: Array, means: Array, whiteners: Array) -> Array:
        squared = np.empty((len(X), len(means)))
        with np.errstate(over="ignore"):
            for index, (mean, whitener) in enumerate(zip(means, whiteners, strict=True)):
                white = (X - mean) @ whitener.T
                squared[:, index] = np.einsum("ij,ij->i", white, white)
        half_log_det = np.log(np.diagonal(whiteners, axis1=1, axis2=2)).sum(axis=1)
        return _normal(squared, half_log_det, X.shape[1])

    def squared_length(self, delta: Array, whiteners: Array) -> Array:
        white = np.einsum("...ab,...b->...a", whiteners, delta)
        length: Array = np.einsum("ij,ij->i", white, white)
        return length

    def scatter(self, X: Array, means: Array, weights: Array) -> Array:
        result = np.empty((len(means), X.shape[1], X.shape[1]))
        root = np.sqrt(weights)
        for index, mean in enumerate(means):
            centred = (X - mean) * root[:, index, None]
            result[index] = centred.T @ centred
        return result

    def from_scatter(self, scatter: Array, weights: Array) -> Array:
        return scatter / weights[:, None, None]

    def with_added(self, covariances: Array, variance: Array) -> Array:
        return covariances + np.diag(variance)

    def rescaled(self, covariances: Array, scale: Array) -> Array:
        return covariances * np.outer(scale, scale)

    def full(self, covariances: Array, k: int, d: int) -> Array:
        return covariances

    def of_full(self, full: Array, weights: Array) -> Array:
        return full

    def variances(self, covariances: Array, k: int, d: int) -> Array:
        return np.diagonal(self.full(covariances, k, d), axis1=1, axis2=2)

    def condition_numbers(self, covariances: Array, k: int, d: int) -> Array:
        values = np.asarray(np.linalg.eigvalsh(covariances), dtype=np.float64)
        return _ratio(values[..., -1], values[..., 0])

    def marginal(self, covariances: Array, features: Sequence[int]) -> Array:
        return covariances[..., features, :][..., features]


class Tied(Full):
    """(d, d): one matrix for all components."""

    name: CovarianceType = "tied"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (d, d)

    def parameters(self, k: int, d: int) -> int:
        return self.stored(d)

    def whiteners(self, covariances: Array, k: int, d: int) -> Array:
        return np.broadcast_to(inverse_cholesky(covariances[None]), (k, d, d))

    def from_scatter(self, scatter: Array, weights: Array) -> Array:
        tied: Array = scatter.sum(axis=0) / weights.sum()
        return tied

    def full(self, covariances: Array, k: int, d: int) -> Array:
        return np.broadcast_to(covariances, (k, d, d))

    def of_full(self, full: Array, weights: Array) -> Array:
        return _average(full, weights)

    def condition_numbers(self, covariances: Array, k: int, d: int) -> Array:
        return np.repeat(super().condition_numbers(covariances[None], 1, d), k)

    def picked(self, covariances: Array, components: NDArray[np.intp]) -> Array:
        return covariances


class Diag(CovarianceKind):
    """(k, d): variances alone."""

    name: CovarianceType = "diag"
    scatter_type: CovarianceType = "diag"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d)

    def stored(self, d: int) -> int:
        return d

    def asymmetry(self, covariances: Array) -> float:
        return 0.0

    def whiteners(self, covariances: Array, k: int, d: int) -> Array:
        return 1.0 / np.sqrt(positive(covariances))

    def log_density(self, X: Array, means: Array, whiteners: Array) -> Array:
        squared = np.empty((len(X), len(means)))
        with np.errstate(over="ignore"):
            for index, (mean, whitener) in enumerate(zip(means, whiteners, strict=True)):
                white = (X - mean) * whitener
                squared[:, index] = np.einsum("ij,ij->i", white, white)
        return _normal(squared, np.log(whiteners).sum(axis=1), X.shape[1])

    def squared_length(self, delta: Array, whiteners: Array) -> Array:
        length: Array = np.square(whiteners * delta).sum(axis=1)
        return length

    def scatter(self, X: Array, means: Array, weights: Array) -> Array:
        result = np.empty((len(means), X.shape[1]))
        for index, mean in enumerate(means):
            result[index] = weights[:, index] @ np.square(X - mean)
        return result

    def from_scatter(self, scatter: Array, weights: Array) -> Array:
        return scatter / weights[:, None]

    def with_added(self, covariances: Array, variance: Array) -> Array:
        return covariances + variance

    def rescaled(self, covariances: Array, scale: Array) -> Array:
        return covariances * np.square(scale)

    def full(self, covariances: Array, k: int, d: int) -> Array:
        return self.variances(covariances, k, d)[:, :, None] * np.eye(d)

    def of_full(self, full: Array, weights: Array) -> Array:
        return np.diagonal(full, axis1=1, axis2=2).copy()

    def variances(self, covariances: Array, k: int, d: int) -> Array:
        return covariances

    def condition_numbers(self, covariances: Array, k: int, d: int) -> Array:
        variances = self.variances(covariances, k, d)
        return _ratio(variances.max(axis=1), variances.min(axis=1))

    def marginal(self, covariances: Array, features: Sequence[int]) -> Array:
        return covariances[:, features]


class Spherical(Diag):
    """(k,): one variance for all features of a component."""

    name: CovarianceType = "spherical"
    isotropic = True

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k,)

    def stored(self, d: int) -> int:
        return 1

    def whiteners(self, covariances: Array, k: int, d: int) -> Array:
        return np.broadcast_to(super().whiteners(covariances[:, None], k, d), (k, d))

    def from_scatter(self, scatter: Array, weights: Array) -> Array:
        return _level(super().from_scatter(scatter, weights))

    def with_added(self, covariances: Array, variance: Array) -> Array:
        added: Array = covariances + variance.mean()
        return added

    def rescaled(self, covariances: Array, scale: Array) -> Array:
        if (scale != scale[0]).any():
            raise InvalidInput(
                "spherical covariances cannot scale features differently",
                got=scale.tolist(),
                bound="one scale for all features",
                remedy='use covariance_type="diag"',
            )
        return covariances * np.square(scale[:1])

    def of_full(self, full: Array, weights: Array) -> Array:
        return _level(super().of_full(full, weights))

    def variances(self, covariances: Array, k: int, d: int) -> Array:
        return np.broadcast_to(covariances[:, None], (k, d))

    def marginal(self, covariances: Array, features: Sequence[int]) -> Array:
        return covariances


def _normal(squared: Array, half_log_det: Array, d: int) -> Array:
    # half_log_det is the log-determinant of the whitener: minus half that of the covariance,
    # hence the plus.
    density: Array = -0.5 * (d * _LOG_TWO_PI + np.minimum(squared, _FURTHEST)) + half_log_det
    return density


def _average(values: Array, weights: Array) -> Array:
    """Weighted mean over the first axis; of equal values these themselves, to the last bit."""
    origin = values[0]
    average: Array = origin + np.tensordot(weights / weights.sum(), values - origin, axes=1)
    return average


def _level(variances: Array) -> Array:
    """(k,) means of variances (k, d) over the features."""
    return _average(variances.T, np.ones(variances.shape[1]))


def _ratio(largest: Array, smallest: Array) -> Array:
    ratio = np.full(largest.shape, np.inf)
    with np.errstate(over="ignore"):
        np.divide(largest, smallest, out=ratio, where=smallest > 0)
    return ratio
