"""Gaussians: the log-density, and the kinds of covariance.

A kind of covariance is a type (`CovarianceKind`) that knows everything which depends on how
covariances are stored. Another kind (tied, spherical) is one more class and one more entry of
`KINDS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, get_args

import numpy as np

from gmm_core.arrays import Array
from gmm_core.cholesky import inverse_cholesky, positive
from gmm_core.errors import InvalidInput

__all__ = [
    "KINDS",
    "CovarianceKind",
    "CovarianceType",
    "kind_of",
    "log_density",
    "log_normalise",
]

CovarianceType = Literal["full", "diag"]

_LOG_TWO_PI = float(np.log(2 * np.pi))
_FURTHEST = 1e300  # squared distance beyond which a row is just "far": keeps sums of it finite


def log_normalise(log_joint: Array) -> tuple[Array, Array]:
    """Log of the row-wise sum (n,), and the logs (n, k) of each part's share in it.

    Shares are taken from what is left after the largest part: far out, where log_joint is so large
    that its sum rounds to any of its parts, they still sum to 1.
    """
    top = log_joint.max(axis=1)
    left = log_joint - top[:, None]
    total = np.log(np.exp(left).sum(axis=1))
    return top + total, left - total[:, None]


class CovarianceKind(ABC):
    """How the covariances of k components in d dimensions are stored and computed with.

    Below, *covariances* and *scatter* have the shape `shape(k, d)`; *whiteners* are what
    `whiteners` returns, opaque to callers.
    """

    name: CovarianceType

    @abstractmethod
    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """Shape of the stored covariances."""

    @abstractmethod
    def stored(self, d: int) -> int:
        """Distinct values stored per component."""

    @abstractmethod
    def asymmetry(self, covariances: Array) -> float:
        """Largest relative difference between a covariance and its transpose."""

    @abstractmethod
    def whiteners(self, covariances: Array) -> Array:
        """Factors that whiten; raises `InvalidInput` when a covariance is not positive definite."""

    @abstractmethod
    def log_density(self, X: Array, means: Array, whiteners: Array) -> Array:
        """(n, k) log-densities in nats."""

    @abstractmethod
    def squared_length(self, delta: Array, whiteners: Array) -> Array:
        """(n,) squared Mahalanobis lengths of `delta` (n, d), by one whitener or one each."""

    @abstractmethod
    def scatter(self, X: Array, means: Array, weights: Array) -> Array:
        """Scatter about `means` (k, d) of rows weighted by `weights` (n, k)."""

    @abstractmethod
    def from_scatter(self, scatter: Array, weights: Array) -> Array:
        """Maximum-likelihood covariances for scatters of total `weights` (k,)."""

    @abstractmethod
    def with_added(self, covariances: Array, variance: Array) -> Array:
        """Covariances with `variance` (d,) added to every diagonal."""

    @abstractmethod
    def rescaled(self, covariances: Array, scale: Array) -> Array:
        """Covariances after feature i is multiplied by `scale[i]`."""

    @abstractmethod
    def full(self, covariances: Array) -> Array:
        """(k, d, d)"""

    @abstractmethod
    def of_full(self, covariances: Array) -> Array:
        """From (k, d, d), dropping what this kind does not store."""

    @abstractmethod
    def variances(self, covariances: Array) -> Array:
        """(k, d) diagonals."""

    @abstractmethod
    def condition_numbers(self, covariances: Array) -> Array:
        """(k,) largest over smallest eigenvalue; inf where the smallest is not above 0."""


class _Full(CovarianceKind):
    name: CovarianceType = "full"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d, d)

    def stored(self, d: int) -> int:
        return d * (d + 1) // 2

    def asymmetry(self, covariances: Array) -> float:
        size = np.sqrt(np.abs(self.variances(covariances)))
        size = np.maximum(size[:, :, None] * size[:, None, :], np.finfo(np.float64).tiny)
        return float((np.abs(covariances - covariances.transpose(0, 2, 1)) / size).max())

    def whiteners(self, covariances: Array) -> Array:
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

    def full(self, covariances: Array) -> Array:
        return covariances

    def of_full(self, covariances: Array) -> Array:
        return covariances

    def variances(self, covariances: Array) -> Array:
        return np.diagonal(covariances, axis1=1, axis2=2)

    def condition_numbers(self, covariances: Array) -> Array:
        values = np.asarray(np.linalg.eigvalsh(covariances), dtype=np.float64)
        return _ratio(values[:, -1], values[:, 0])


class _Diag(CovarianceKind):
    name: CovarianceType = "diag"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k, d)

    def stored(self, d: int) -> int:
        return d

    def asymmetry(self, covariances: Array) -> float:
        return 0.0

    def whiteners(self, covariances: Array) -> Array:
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

    def full(self, covariances: Array) -> Array:
        return covariances[:, :, None] * np.eye(covariances.shape[1])

    def of_full(self, covariances: Array) -> Array:
        return np.diagonal(covariances, axis1=1, axis2=2).copy()

    def variances(self, covariances: Array) -> Array:
        return covariances

    def condition_numbers(self, covariances: Array) -> Array:
        return _ratio(covariances.max(axis=1), covariances.min(axis=1))


KINDS: dict[str, CovarianceKind] = {"full": _Full(), "diag": _Diag()}


def kind_of(covariance_type: str) -> CovarianceKind:
    """The kind of that name; raises `InvalidInput` naming those that exist."""
    if covariance_type not in KINDS:
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
    return kind.log_density(X, means, kind.whiteners(covariances))


def _normal(squared: Array, half_log_det: Array, d: int) -> Array:
    # half_log_det is the log-determinant of the whitener: minus half that of the covariance,
    # hence the plus.
    density: Array = -0.5 * (d * _LOG_TWO_PI + np.minimum(squared, _FURTHEST)) + half_log_det
    return density


def _ratio(largest: Array, smallest: Array) -> Array:
    ratio = np.full(largest.shape, np.inf)
    with np.errstate(over="ignore"):
        np.divide(largest, smallest, out=ratio, where=smallest > 0)
    return ratio
