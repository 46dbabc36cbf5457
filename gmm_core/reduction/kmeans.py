"""k-means of components: groups of those whose means are near, for pools too large to compare all.

The paper brings K components to l by k-means on their means, with l < sqrt(K) so that the pairs of
what is left are fewer than K (Patist et al. 2006, section 2). Here l is the largest such number.
Both distances are free of the features' units: means are compared where the average component is
round (`compiled.discriminants`). Nothing is drawn but by place in the pool's order, which is one of
content: the same components give the same groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.reduction.compiled import discriminants
from gmm_core.reduction.pool import Pool

__all__ = ["groups_by_euclid", "groups_by_hotelling", "intermediate"]

Labels = NDArray[np.intp]
_STEPS = 25  # of Lloyd's; later ones move few components
_CHUNK = 4_096  # components whose distances to all groups are held at once


def intermediate(size: int, k: int) -> int | None:
    """l: the largest number below sqrt(size), when that is above k; else there is no need for one.

    >>> intermediate(10_000, 10), intermediate(100, 10)
    (99, None)
    """
    few = math.isqrt(size - 1)
    return few if few > k else None


def groups_by_euclid(pool: Pool, few: int) -> Labels:
    """(K,) groups by Euclidean distance of means from the groups' weighted means: the fast one."""
    means = discriminants(pool)[0]
    return _lloyd(means, pool.weights, _spread_out(means, pool.weights, few))


def groups_by_hotelling(pool: Pool, few: int) -> Labels:
    """(K,) groups by the paper's distance between a component and the union of a group: slower.

    (H2(i, mean of g) + H2(g, mean of i)) / 2 for component i and group g (`criteria.hotelling`), from
    the Euclidean groups on.
    """
    means, covariances = discriminants(pool)
    own, monomials = _quadratics(pool.kind.whiteners(covariances, *means.shape), means)
    rows = np.hstack([pool.weights[:, None] * own, monomials])
    labels = groups_by_euclid(pool, few)
    for _ in range(_STEPS):
        groups = Pool(pool.kind, pool.weights, means, covariances, covariances, pool.alive)
        union = groups.grouped(labels)
        theirs, centres = _quadratics(union.whiteners, union.means)
        columns = np.hstack([centres, union.weights[:, None] * theirs])
        moved = _least(rows, columns)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels


def _spread_out(means: Array, weights: Array, few: int) -> Array:
    """At most `few` distinct means, drawn by weight and squared distance from those drawn before.

    k-means++ (Arthur and Vassilvitskii 2007), from one fixed stream of random numbers.
    """
    rng = np.random.default_rng(0)
    distance = np.full(len(means), np.inf)
    chosen: list[int] = []
    mass = weights
    while len(chosen) < few:
        cumulated = np.cumsum(mass)
        if not cumulated[-1] > 0:
            break
        at = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        chosen.append(min(at, int(np.searchsorted(cumulated, cumulated[-1]))))
        delta = means - means[chosen[-1]]
        np.minimum(distance, np.einsum("ij,ij->i", delta, delta), out=distance)
        mass = weights * distance
    return means[chosen]


def _lloyd(means: Array, weights: Array, centres: Array) -> Labels:
    labels = np.zeros(len(means), np.intp)
    for step in range(_STEPS):
        # |x - c|^2 less |x|^2, which is the same for all centres.
        columns = np.hstack([np.square(centres).sum(axis=1)[:, None], -2 * centres])
        moved = _least(np.hstack([np.ones((len(means), 1)), means]), columns)
        if step and np.array_equal(moved, labels):
            break
        labels = moved
        total = np.bincount(labels, weights, len(centres))
        sums = [np.bincount(labels, weights * column, len(centres)) for column in means.T]
        filled = total > 0  # a group that lost all stays where it was
        centres[filled] = np.stack(sums, axis=1)[filled] / total[filled, None]
    return labels


def _least(rows: Array, columns: Array) -> Labels:
    """(K,) for each row the column (l, m) with the least product; the first of equal ones."""
    return np.concatenate([(part @ columns.T).argmin(axis=1) for part in _chunks(rows)])


def _chunks(rows: Array) -> Iterator[Array]:
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]


def _quadratics(whiteners: Array, means: Array) -> tuple[Array, Array]:
    """Coefficients of (x - mean)' S^-1 (x - mean) (K, m), and the monomials of the means (K, m).

    Coefficients times the monomials of any x are the squared distance; one product serves all pairs.
    """
    one = np.ones((len(means), 1))
    if whiteners.ndim == 2:
        precisions = np.square(whiteners)
        pulls = precisions * means
        squares, coefficients = np.square(means), precisions
    else:
        lower = np.tril_indices(means.shape[1])
        full = whiteners.transpose(0, 2, 1) @ whiteners
        pulls = np.einsum("kab,kb->ka", full, means)
        squares = means[:, lower[0]] * means[:, lower[1]]
        coefficients = full[:, lower[0], lower[1]] * np.where(lower[0] == lower[1], 1.0, 2.0)
    constant = np.einsum("ka,ka->k", pulls, means)[:, None]
    return np.hstack([coefficients, -2 * pulls, constant]), np.hstack([squares, means, one])
