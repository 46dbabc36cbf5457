"""Reduction: many components to k, by merging. Every merge keeps weight, mean and covariance.

A *criterion* says how far apart two components are; the *search* decides which to merge. Both are
open: a criterion is a function in `CRITERIA`, a search is a function from a pool to fewer
components.

Reduction is not associative: pool stored block mixtures and reduce once, never reduce a reduced
one. Source: Patist, Kowalczyk, Marchiori 2006, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import whitener_diagonal
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixture import Mixture
from gmm_core.moments import combine

__all__ = ["CRITERIA", "Criterion", "Pool", "hotelling", "merge_pair", "reduce", "runnalls"]


@dataclass
class Pool:
    """Components while they are merged: arrays that change in place, and which rows still live.

    weights (K,), means (K, d), covariances and whiteners as the kind stores them, alive (K,) bool.
    Every component has a covariance of its own: the kind is that of the mixture's scatter type.
    """

    kind: CovarianceKind
    weights: Array
    means: Array
    covariances: Array
    whiteners: Array
    alive: np.ndarray[tuple[int], np.dtype[np.bool_]]

    @classmethod
    def of(cls, mixture: Mixture) -> Pool:
        """A pool in an order that depends on the components alone, not on how they were listed."""
        mixture = mixture.as_type(mixture.kind.scatter_type)
        order = _content_order(mixture)
        kind, covariances = mixture.kind, mixture.covariances[order]
        alive = np.ones(len(order), dtype=np.bool_)
        return cls(
            kind,
            mixture.weights[order],
            mixture.means[order],
            covariances,
            kind.whiteners(covariances, *mixture.means.shape),
            alive,
        )

    def merge(self, i: int, j: int) -> None:
        """Component i becomes the union of i and j; j is gone."""
        weight, mean, covariance = _union(
            *((self.weights[n], self.means[n], self.covariances[n]) for n in (i, j))
        )
        self.weights[i], self.means[i], self.covariances[i] = weight, mean, covariance
        self.whiteners[i] = self.kind.whiteners(covariance[None], 1, len(mean))[0]
        self.alive[j] = False

    def mixture(self) -> Mixture:
        """The components that live, in an order that depends on them alone."""
        alive = np.flatnonzero(self.alive)
        weights = self.weights[alive]
        merged = Mixture(
            weights / weights.sum(), self.means[alive], self.covariances[alive], self.kind.name
        )
        return _picked(merged, _content_order(merged))


Criterion = Callable[[Pool, int], Array]
"""Distances (K,) of component i of a pool to every component: symmetric, smaller is nearer."""


def hotelling(pool: Pool, i: int) -> Array:
    """Symmetrised Hotelling distance: (H2(i, mean of j) + H2(j, mean of i)) / 2, for every j.

    H2(mu, a, S, mu0) = a (mu - mu0)' S^-1 (mu - mu0), with a the component's share of the rows.
    """
    delta = pool.means - pool.means[i]
    own = pool.weights[i] * pool.kind.squared_length(delta, pool.whiteners[i])
    others = pool.weights * pool.kind.squared_length(delta, pool.whiteners)
    distance: Array = 0.5 * (own + others)
    return distance


def runnalls(pool: Pool, i: int) -> Array:
    """Upper bound of what a merge loses in Kullback-Leibler divergence (Runnalls 2007, section IV).

    B(i, j) = ((a_i + a_j) log |S_ij| - a_i log |S_i| - a_j log |S_j|) / 2, with S_ij the covariance
    of the pair merged.
    """
    own = (pool.weights[i], pool.means[i], pool.weights[i] * pool.covariances[i])
    shape = (-1,) + (1,) * (pool.covariances.ndim - 1)
    weight, _, scatter = combine(
        *own, pool.weights, pool.means, pool.weights.reshape(shape) * pool.covariances
    )
    union = pool.kind.whiteners(scatter / weight.reshape(shape), *pool.means.shape)
    alone = pool.weights * _log_widths(pool.whiteners)
    bound: Array = weight * _log_widths(union) - alone[i] - alone
    return np.maximum(bound, 0.0)


def _log_widths(whiteners: Array) -> Array:
    """(K,) half the log-determinants of the covariances."""
    widths: Array = -np.log(whitener_diagonal(whiteners)).sum(axis=1)
    return widths


CRITERIA: dict[str, Criterion] = {"hotelling": hotelling, "runnalls": runnalls}


def merge_pair(mixture: Mixture, i: int, j: int) -> Mixture:
    """The mixture with components i and j merged into one, at the place of the former.

    mu = (a1 mu1 + a2 mu2) / a and S = (a1 S1 + a2 S2) / a + (a1 a2 / a^2) (mu1 - mu2)(mu1 - mu2)'
    with a = a1 + a2: mean and covariance of the mixture stay; of "diag" mean and variances, of
    "spherical" mean and total variance. What is stored once is averaged anew: in a "tied" mixture
    the pair's spread about its mean goes to all components, by weight.

    >>> merge_pair(Mixture([0.5, 0.5], [[0.0], [2.0]], [[1.0], [1.0]], "diag"), 0, 1).covariances
    array([[2.]])
    """
    k = mixture.n_components
    if not (0 <= i < k and 0 <= j < k and i != j):
        raise InvalidInput(
            "components to merge", got=(i, j), bound=f"two different numbers from 0 to {k - 1}"
        )
    i, j = min(i, j), max(i, j)
    own = mixture.as_type(mixture.kind.scatter_type)
    parts = ((own.weights[n], own.means[n], own.covariances[n]) for n in (i, j))
    weight, mean, covariance = _union(*parts)
    weights, means, covariances = (
        np.delete(array, j, axis=0) for array in (own.weights, own.means, own.covariances)
    )
    weights[i], means[i], covariances[i] = weight, mean, covariance
    merged = Mixture(weights, means, covariances, own.covariance_type)
    return merged.as_type(mixture.covariance_type)


def reduce(mixture: Mixture, n_components: int, *, criterion: str = "hotelling") -> Mixture:
    """Merge the closest pair until `n_components` are left.

    The result does not depend on the order of the components, and lists them by their means, the
    first feature first. A mixture that has as many components already only comes back in that
    order. Components that share something ("tied", "spherical") are merged with covariances of their
    own and share it again in the end.

    Raises `InvalidInput` for an unknown criterion, or more components than there are.
    """
    if criterion not in CRITERIA:
        raise InvalidInput("unknown criterion", got=criterion, bound=", ".join(sorted(CRITERIA)))
    if not 1 <= n_components <= mixture.n_components:
        raise InvalidInput(
            "components to reduce to",
            got=n_components,
            bound=f"1 to {mixture.n_components}, the components there are",
            remedy="lower k, or pool more blocks",
        )
    pool = Pool.of(mixture)
    _greedy(pool, n_components, CRITERIA[criterion])
    return pool.mixture().as_type(mixture.covariance_type)


def _greedy(pool: Pool, k: int, criterion: Criterion) -> None:
    """Merge the closest pair until k live: O(K^2) distances once, then one row per merge."""
    size = len(pool.weights)
    distance = np.full((size, size), np.inf)
    for i in range(size):
        distance[i, i + 1 :] = criterion(pool, i)[i + 1 :]
    # Of each row the nearest later component is remembered, so a merge searches K values, not K^2.
    nearest = distance.argmin(axis=1)
    closest = distance[np.arange(size), nearest]
    for _ in range(size - k):
        i = int(closest.argmin())
        j = int(nearest[i])
        pool.merge(i, j)
        row = np.where(pool.alive, criterion(pool, i), np.inf)
        distance[i, i + 1 :], distance[:i, i] = row[i + 1 :], row[:i]
        distance[j, :], distance[:j, j], closest[j] = np.inf, np.inf, np.inf
        stale = (nearest == i) | (nearest == j)
        stale[:i] |= row[:i] <= closest[:i]
        stale[[i, j]] = True, False
        changed = np.flatnonzero(stale)
        nearest[changed] = distance[changed].argmin(axis=1)
        closest[changed] = distance[changed, nearest[changed]]


def _union(
    first: tuple[float, Array, Array], second: tuple[float, Array, Array]
) -> tuple[float, Array, Array]:
    (a, mean_a, cov_a), (b, mean_b, cov_b) = first, second
    weight, mean, scatter = combine(a, mean_a, a * cov_a, b, mean_b, b * cov_b)
    return float(weight), mean, scatter / weight


def _content_order(mixture: Mixture) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Order by mean, then weight, then covariance: the same for every listing of the components."""
    k = mixture.n_components
    columns = np.column_stack([mixture.means, mixture.weights, mixture.covariances.reshape(k, -1)])
    return np.lexsort(columns.T[::-1])


def _picked(mixture: Mixture, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Mixture:
    return Mixture(
        mixture.weights[order],
        mixture.means[order],
        mixture.covariances[order],
        mixture.covariance_type,
    )
