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
    return _by_euclid(discriminants(pool)[0], pool.weights, few)[0]


def groups_by_hotelling(pool: Pool, few: int) -> Labels:
    """(K,) groups by the paper's H2 of a component and a group's centre, from the Euclidean groups on.

    H2 = a_i (mu_i - c)' S_i^-1 (mu_i - c) (`criteria.hotelling`), and a centre c is where the sum over its
    group is least: so no step raises the sum. Of the symmetrised distance that is the half that sees the
    component's covariance. The other half counts with the weight of the whole group, and drives
    components from heavy groups to light ones and back: by it 316 groups of 100,000 components
    were 11 after seven steps.
    """
    means, covariances = discriminants(pool)
    own = _quadratics(pool.kind.whiteners(covariances, *means.shape), means)
    weighed = _weighed(own, pool.weights)
    labels, centres = _by_euclid(means, pool.weights, few)
    for _ in range(_STEPS):
        sums, filled = _sums(weighed, labels, len(centres))
        centres[filled] = _lowest(sums[filled], means.shape[1])
        moved = _least(own, _monomials(centres, own.shape[1]))
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels


def _by_euclid(means: Array, weights: Array, few: int) -> tuple[Labels, Array]:
    """Groups (K,) and centres."""
    return _lloyd(means, weights, _spread_out(means, weights, few))


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


def _lloyd(means: Array, weights: Array, centres: Array) -> tuple[Labels, Array]:
    labels = np.zeros(len(means), np.intp)
    rows = np.hstack([np.ones((len(means), 1)), means])
    weighed = _weighed(rows, weights)
    for step in range(_STEPS):
        # |x - c|^2 less |x|^2, which is the same for all centres.
        columns = np.hstack([np.square(centres).sum(axis=1)[:, None], -2 * centres])
        moved = _least(rows, columns)
        if step and np.array_equal(moved, labels):
            break
        labels = moved
        sums, filled = _sums(weighed, labels, len(centres))
        centres[filled] = sums[filled, 1:] / sums[filled, :1]
    return labels, centres


def _weighed(rows: Array, weights: Array) -> Array:
    """(m, K) the columns of the rows (K, m), times the weights, each in one piece."""
    return np.ascontiguousarray((weights[:, None] * rows).T)


def _sums(columns: Array, labels: Labels, count: int) -> tuple[Array, NDArray[np.bool_]]:
    """(count, m) sums of each group, and which groups have any: the others stay where they were."""
    sums = [np.bincount(labels, column, count) for column in columns]
    return np.stack(sums, axis=1), np.bincount(labels, minlength=count) > 0


def _least(rows: Array, columns: Array) -> Labels:
    """(K,) for each row the column (l, m) with the least product; the first of equal ones."""
    return np.concatenate([(part @ columns.T).argmin(axis=1) for part in _chunks(rows)])


def _chunks(rows: Array) -> Iterator[Array]:
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]


def _quadratics(whiteners: Array, means: Array) -> Array:
    """(K, m) coefficients of (x - mean)' S^-1 (x - mean) as a function of x, for `_monomials`."""
    if whiteners.ndim == 2:
        squares = np.square(whiteners)
        pulls = squares * means
    else:
        rows, columns = np.tril_indices(means.shape[1])
        full = whiteners.transpose(0, 2, 1) @ whiteners
        pulls = np.einsum("kab,kb->ka", full, means)
        squares = full[:, rows, columns] * np.where(rows == columns, 1.0, 2.0)
    constant = np.einsum("ka,ka->k", pulls, means)[:, None]
    return np.hstack([squares, -2 * pulls, constant])


def _monomials(x: Array, size: int) -> Array:
    """(n, size) what coefficients are multiplied with: products of two features of x, features, 1."""
    d = x.shape[1]
    rows, columns = np.tril_indices(d)
    products = np.square(x) if size == 2 * d + 1 else x[:, rows] * x[:, columns]
    return np.hstack([products, x, np.ones((len(x), 1))])


def _lowest(coefficients: Array, d: int) -> Array:
    """(n, d) where sums of `_quadratics` are least."""
    squares, pulls = coefficients[:, : -d - 1], -0.5 * coefficients[:, -d - 1 : -1]
    if squares.shape[1] == d:
        return pulls / squares
    rows, columns = np.tril_indices(d)
    full: Array = np.empty((len(squares), d, d))
    full[:, rows, columns] = squares * np.where(rows == columns, 1.0, 0.5)
    full[:, columns, rows] = full[:, rows, columns]
    return np.asarray(np.linalg.solve(full, pulls[:, :, None])[:, :, 0], np.float64)
