"""E-step: what rows say about a mixture.

A *kernel* turns rows into statistics; statistics of parts of the rows add up. `numpy_kernel` is the
plain reference: log space, centred scatter, one chunk at a time. The compiled kernel of
`gmm_core.fitting.compiled` has the same signature and must agree with it to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from heapq import merge
from operator import itemgetter

import numpy as np

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import whitener_diagonal
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind, log_normalise
from gmm_core.moments import combine

__all__ = [
    "NO_BACKGROUND",
    "Joint",
    "Kernel",
    "Parameters",
    "Statistics",
    "log_joint",
    "numpy_kernel",
    "worst_explained",
]

_TINY = float(np.finfo(np.float64).tiny)
NO_BACKGROUND = float("-inf")


@dataclass(frozen=True)
class Joint:
    """Log of weight times density, as an E-step needs it, in standardised space.

    That of component c at row x is `offsets[c] - |whiteners[c] (x - means[c])|^2 / 2`.

    Parameters
    ----------
    offsets : (k,), means : (k, d), whiteners : (k, d, d) lower triangular, or (k, d).
    background : the same for what no component explains, everywhere equal; -inf for nothing.
    levels : (k, m) what each level of a row's categorical features adds, features side by side
        (`gmm_core.fitting.categories`); `None` without such features.
    """

    offsets: Array
    means: Array
    whiteners: Array
    background: float = NO_BACKGROUND
    levels: Array | None = None


@dataclass(frozen=True)
class Parameters:
    """A mixture in standardised space, unchecked: weights (k,), means (k, d), covariances.

    `background` is the log of weight times density of a uniform background, -inf for none; the
    weights of components and background sum to 1. `levels` (k, m), if any, are the probabilities of
    the levels of categorical features, side by side.
    """

    weights: Array
    means: Array
    covariances: Array
    background: float = NO_BACKGROUND
    levels: Array | None = None

    def joint(self, kind: CovarianceKind) -> Joint:
        """Raises `InvalidInput` when a covariance is not positive definite."""
        k, d = self.means.shape
        whiteners = kind.whiteners(self.covariances, k, d)
        diagonal = whitener_diagonal(whiteners)
        offsets = np.log(self.weights) + np.log(diagonal).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
        levels = None if self.levels is None else np.log(self.levels)
        return Joint(offsets, self.means, whiteners, self.background, levels)


@dataclass(frozen=True)
class Statistics:
    """What an M-step needs of rows, and their log-likelihood under the E-step's parameters.

    Parameters
    ----------
    log_likelihood : weighted sum over rows, nats.
    weight, mean, scatter : (k,), (k, d) and (k, d, d) or (k, d): the centred moments of the rows,
        each row shared out by responsibility.
    background : weight of the rows that the background explains.
    levels : (k, m) weight of the rows that have each level; `None` without categorical features.
    """

    log_likelihood: float
    weight: Array
    mean: Array
    scatter: Array
    background: float = 0.0
    levels: Array | None = None

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return float(self.weight.sum()) + self.background

    def __add__(self, other: Statistics) -> Statistics:
        mine, theirs = (
            (self.weight, self.mean, self.scatter),
            (other.weight, other.mean, other.scatter),
        )
        return Statistics(
            self.log_likelihood + other.log_likelihood,
            *combine(*mine, *theirs),
            background=self.background + other.background,
            levels=_sum(self.levels, other.levels),
        )

    @classmethod
    def nothing(cls, k: int, d: int, kind: CovarianceKind) -> Statistics:
        """The neutral element of `+`."""
        return cls(0.0, np.zeros(k), np.zeros((k, d)), np.zeros(kind.scatter_shape(k, d)))

    @classmethod
    def of(cls, X: Array, shares: Array, kind: CovarianceKind) -> Statistics:
        """Moments of rows X (m, d); `shares` (m, k) hold each row's weight, shared out."""
        weight = shares.sum(axis=0)
        mean = shares.T @ X / np.maximum(weight, _TINY)[:, None]
        return cls(0.0, weight, mean, kind.scatter(X, mean, shares))


Kernel = Callable[[Rows, Joint, CovarianceKind], Statistics]


def numpy_kernel(rows: Rows, joint: Joint, kind: CovarianceKind) -> Statistics:
    """The reference kernel; holds one chunk times k at a time."""
    k, d = joint.means.shape
    total = Statistics.nothing(k, d, kind)
    for _, chunk, weight in rows.chunks():
        density, log_shares = log_normalise(log_joint(chunk, joint, kind))
        shares = np.exp(log_shares) * weight[:, None]
        part = Statistics.of(chunk, shares[:, :k], kind)
        behind = float(shares[:, k:].sum())
        total += Statistics(float(weight @ density), part.weight, part.mean, part.scatter, behind)
    return total


def log_joint(X: Array, joint: Joint, kind: CovarianceKind) -> Array:
    """(m, k) log joint of rows (m, d), or (m, k + 1) where there is a background, the last."""
    # Offsets come from elsewhere (variational Bayes has its own): those of a density are taken off.
    whiteners, d = joint.whiteners, X.shape[1]
    diagonal = whitener_diagonal(whiteners)
    own = np.log(diagonal).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
    result: Array = kind.log_density(X, joint.means, whiteners) + (joint.offsets - own)
    if joint.background > NO_BACKGROUND:
        result = np.column_stack([result, np.full(len(X), joint.background)])
    return result


def worst_explained(rows: Rows, joint: Joint, kind: CovarianceKind, n: int) -> Array:
    """(n, d) different rows that the components explain worst, worst first, within the fence."""
    joint = replace(joint, background=NO_BACKGROUND)
    found: list[tuple[float, Array]] = []
    for _, chunk, _ in rows.chunks():
        explained, _ = log_normalise(log_joint(chunk, joint, kind))
        density = np.where(rows.inside(chunk), explained, np.inf)
        order = np.argsort(density, kind="stable")
        here = ((float(density[index]), chunk[index]) for index in order)
        found = _first_different(merge(found, here, key=itemgetter(0)), n)
    return np.stack([row for _, row in found])


def _sum(a: Array | None, b: Array | None) -> Array | None:
    return a if b is None else b if a is None else a + b


def _first_different(pairs: Iterable[tuple[float, Array]], n: int) -> list[tuple[float, Array]]:
    """The first n pairs with different rows."""
    found: list[tuple[float, Array]] = []
    for density, row in pairs:
        if not any(np.array_equal(row, other) for _, other in found):
            found.append((density, row))
        if len(found) == n:
            break
    return found
