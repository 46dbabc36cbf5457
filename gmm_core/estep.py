"""E-step: what rows say about the parameters of a mixture.

A *kernel* turns one chunk of rows into statistics; statistics add up over chunks. `numpy_kernel`
is the plain reference: log space, centred scatter. A compiled kernel has the same signature and
must agree with it to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.gaussian import CovarianceKind, log_normalise
from gmm_core.moments import combine
from gmm_core.rows import Rows

__all__ = [
    "Kernel",
    "Parameters",
    "Statistics",
    "expectation",
    "group_statistics",
    "numpy_kernel",
    "worst_explained",
]

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Parameters:
    """A mixture in standardised space, unchecked: weights (k,), means (k, d), covariances."""

    weights: Array
    means: Array
    covariances: Array


@dataclass(frozen=True)
class Statistics:
    """What an M-step needs of rows, and their log-likelihood under the E-step's parameters.

    Parameters
    ----------
    log_likelihood : weighted sum over rows, nats.
    weight, mean, scatter : (k,), (k, d) and as the covariances: the centred moments of the rows,
        each row shared out by responsibility.
    """

    log_likelihood: float
    weight: Array
    mean: Array
    scatter: Array

    def __add__(self, other: Statistics) -> Statistics:
        mine, theirs = (
            (self.weight, self.mean, self.scatter),
            (other.weight, other.mean, other.scatter),
        )
        return Statistics(self.log_likelihood + other.log_likelihood, *combine(*mine, *theirs))

    @classmethod
    def nothing(cls, k: int, d: int, kind: CovarianceKind) -> Statistics:
        """The neutral element of `+`."""
        return cls(0.0, np.zeros(k), np.zeros((k, d)), np.zeros(kind.shape(k, d)))

    @classmethod
    def of(cls, log_likelihood: float, X: Array, shares: Array, kind: CovarianceKind) -> Statistics:
        """Statistics of rows X (m, d); `shares` (m, k) hold each row's weight, shared out."""
        weight = shares.sum(axis=0)
        mean = shares.T @ X / np.maximum(weight, _TINY)[:, None]
        return cls(log_likelihood, weight, mean, kind.scatter(X, mean, shares))


Kernel = Callable[[Array, Array, Parameters, CovarianceKind], Statistics]
"""Statistics of a chunk: standardised rows (m, d), weights (m,), parameters, kind of covariance."""


def numpy_kernel(
    X: Array, weight: Array, parameters: Parameters, kind: CovarianceKind
) -> Statistics:
    """The reference kernel."""
    density, log_shares = log_normalise(_log_joint(X, parameters, kind))
    shares = np.exp(log_shares) * weight[:, None]
    return Statistics.of(float(weight @ density), X, shares, kind)


def expectation(
    rows: Rows, parameters: Parameters, kind: CovarianceKind, kernel: Kernel = numpy_kernel
) -> Statistics:
    """Statistics of all rows; holds one chunk times k at a time."""
    k, d = parameters.means.shape
    total = Statistics.nothing(k, d, kind)
    for _, chunk, weight in rows.chunks():
        total += kernel(chunk, weight, parameters, kind)
    return total


def group_statistics(
    rows: Rows, k: int, kind: CovarianceKind, label: Callable[[Array], NDArray[np.intp]]
) -> Statistics:
    """Statistics of all rows when each belongs wholly to the group `label` (m, d) -> (m,) gives."""
    total = Statistics.nothing(k, rows.n_features, kind)
    for _, chunk, weight in rows.chunks():
        shares = np.zeros((len(chunk), k))
        shares[np.arange(len(chunk)), label(chunk)] = weight
        total += Statistics.of(0.0, chunk, shares, kind)
    return total


def worst_explained(rows: Rows, parameters: Parameters, kind: CovarianceKind, n: int) -> Array:
    """(n, d) different rows of the lowest density under the parameters, lowest first."""
    density = np.empty(len(rows))
    for part, chunk, _ in rows.chunks():
        density[part], _ = log_normalise(_log_joint(chunk, parameters, kind))
    found: list[Array] = []
    for index in np.argsort(density, kind="stable"):
        row = rows.at(index)
        if not any(np.array_equal(row, other) for other in found):
            found.append(row)
        if len(found) == n:
            break
    return np.stack(found)


def _log_joint(X: Array, parameters: Parameters, kind: CovarianceKind) -> Array:
    whiteners = kind.whiteners(parameters.covariances)
    joint: Array = kind.log_density(X, parameters.means, whiteners) + np.log(parameters.weights)
    return joint
