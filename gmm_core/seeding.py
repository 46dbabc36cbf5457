"""Seeding: where EM starts, cold (k-means++ and a few Lloyd steps) or warm (from a mixture).

All in standardised space, so the units of the features do not matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.estep import Parameters, group_statistics
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixture import Mixture
from gmm_core.rows import Rows

__all__ = ["cold_start", "kmeans_plus_plus", "lloyd", "nearest", "warm_start"]

_LLOYD_STEPS = 10


def cold_start(
    rows: Rows, k: int, kind: CovarianceKind, added: Array, rng: np.random.Generator
) -> Parameters:
    """Parameters of the k groups that k-means finds, with `added` variance (d,)."""
    centres = lloyd(rows, kmeans_plus_plus(rows, k, rng), _LLOYD_STEPS)
    groups = group_statistics(rows, k, kind, lambda chunk: nearest(chunk, centres))
    # A group of few rows has a flat scatter: it borrows d + 1 rows' worth of the average group's.
    borrowed = rows.n_features + 1.0
    weight = groups.weight + borrowed
    average = groups.scatter.sum(axis=0) / groups.weight.sum()
    covariances = kind.from_scatter(groups.scatter + borrowed * average, weight)
    means = np.where(groups.weight[:, None] > 0, groups.mean, centres)
    return Parameters(weight / weight.sum(), means, kind.with_added(covariances, added))


def warm_start(rows: Rows, k: int, kind: CovarianceKind, start: Mixture) -> Parameters:
    """Parameters of a mixture; raises `InvalidInput` unless it has k components and this kind."""
    got = (start.n_components, start.n_features, start.covariance_type)
    want = (k, rows.n_features, kind.name)
    if got != want:
        raise InvalidInput("start has other components, features or type", got=got, bound=str(want))
    covariances = kind.rescaled(start.covariances, 1 / rows.scale)
    return Parameters(start.weights, (start.means - rows.shift) / rows.scale, covariances)


def kmeans_plus_plus(rows: Rows, k: int, rng: np.random.Generator) -> Array:
    """(k, d) distinct rows as centres, in standardised space.

    Arthur and Vassilvitskii 2007: each is the best of 2 + log k candidates drawn in proportion to
    weight * squared distance to the nearest centre so far. Needs at least k distinct rows, which
    `Rows.of` has made sure of.
    """
    candidates = 2 + int(np.log(k))
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    first = _draw(weight, 1, rng)[0]
    centres = [rows.at(first)]
    distance = _squared_distance(rows, centres[0])
    while len(centres) < k:
        least, best, chosen = np.inf, distance, centres[0]
        for index in _draw(weight * distance, candidates, rng):
            centre = rows.at(index)
            closer = np.minimum(distance, _squared_distance(rows, centre))
            left = float(weight @ closer)
            if left < least:
                least, best, chosen = left, closer, centre
        distance = best
        centres.append(chosen)
    return np.stack(centres)


def lloyd(rows: Rows, centres: Array, steps: int) -> Array:
    """Centres after at most `steps` Lloyd steps; one that loses all its rows stays put."""
    for _ in range(steps):
        total, weight = np.zeros_like(centres), np.zeros(len(centres))
        for _, chunk, chunk_weight in rows.chunks():
            label = nearest(chunk, centres)
            np.add.at(total, label, chunk * chunk_weight[:, None])
            weight += np.bincount(label, chunk_weight, len(centres))
        moved = np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-300)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(X: Array, centres: Array) -> NDArray[np.intp]:
    """(n,) index of the nearest centre; the first of several at the same distance."""
    squared = np.empty((len(X), len(centres)))
    for column, centre in enumerate(centres):
        delta = X - centre
        squared[:, column] = np.einsum("ij,ij->i", delta, delta)
    index: NDArray[np.intp] = squared.argmin(axis=1)
    return index


def _squared_distance(rows: Rows, centre: Array) -> Array:
    result = np.empty(len(rows))
    for part, chunk, _ in rows.chunks():
        delta = chunk - centre
        result[part] = np.einsum("ij,ij->i", delta, delta)
    return result


def _draw(mass: Array, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """`n` indices with probability in proportion to `mass`; none whose mass is zero."""
    cumulated = np.cumsum(mass)
    # side="right" steps over entries without mass, also for a draw of exactly 0.
    found = np.searchsorted(cumulated, rng.random(n) * cumulated[-1], side="right")
    last = np.flatnonzero(mass)[-1]
    drawn: NDArray[np.intp] = np.minimum(found, last)
    return drawn
