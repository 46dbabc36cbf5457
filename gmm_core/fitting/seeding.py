"""Seeding: where EM starts, cold (k-means++ and a few Lloyd steps) or warm (from a mixture).

All in standardised space, so the units of the features do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.fitting.estep import Parameters, Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixture import Mixture

__all__ = [
    "cold_start",
    "group_parameters",
    "kmeans_plus_plus",
    "lloyd",
    "nearest",
    "warm_start",
]

_LLOYD_STEPS = 10
_CHUNK = 8_192
# Multiplications: BLAS puts larger products on threads of its own, which then wait busily for more
# while ours compute.
_PRODUCT, _FEWEST = 450_000, 256


def cold_start(
    rows: Rows, k: int, kind: CovarianceKind, added: Array, rng: np.random.Generator
) -> Parameters:
    """Parameters of the k groups that k-means finds within the rows' fence, with `added` (d,)."""
    rows = rows.central(k)
    centres = lloyd(rows, kmeans_plus_plus(rows, k, rng), _LLOYD_STEPS)
    return group_parameters(_groups(rows, centres, kind), centres, kind, added)


def _groups(rows: Rows, centres: Array, kind: CovarianceKind) -> Statistics:
    """Statistics of all rows when each belongs wholly to its nearest centre."""
    k, d = centres.shape
    total = Statistics.nothing(k, d, kind)
    for _, columns, given in _parts(rows, k):
        weight, mean, scatter = np.zeros(k), np.zeros((k, d)), np.zeros_like(total.scatter)
        for group, own in enumerate(_own(columns, centres)):
            index = np.flatnonzero(own)
            if len(index):
                heavy = np.ones(len(index)) if given is None else given[index]
                part = Statistics.of(columns[:, index].T, heavy[:, None], kind)
                weight[group], mean[group] = part.weight[0], part.mean[0]
                scatter[group] = part.scatter[0]
        total += Statistics(0.0, weight, mean, scatter)
    return total


def group_parameters(
    groups: Statistics, centres: Array, kind: CovarianceKind, added: Array
) -> Parameters:
    """Parameters of groups of rows, with `added` (d,); one without rows stands at its centre (k, d)."""
    # A group of few rows has a flat scatter: it borrows d + 1 rows' worth of the average group's.
    borrowed = centres.shape[1] + 1.0
    weight = groups.weight + borrowed
    average = groups.scatter.sum(axis=0) / groups.weight.sum()
    covariances = kind.from_scatter(groups.scatter + borrowed * average, weight)
    means = np.where(groups.weight[:, None] > 0, groups.mean, centres)
    return Parameters(weight / weight.sum(), means, kind.with_added(covariances, added))


def warm_start(rows: Rows, k: int, kind: CovarianceKind, start: Mixture) -> Parameters:
    """Parameters of a mixture; raises `InvalidInput` unless it has k components and this kind."""
    if not isinstance(start, Mixture):
        raise InvalidInput("start", got=type(start).__name__, bound="a Mixture")
    got = (start.n_components, start.n_features, start.covariance_type)
    want = (k, rows.n_features, kind.name)
    if got != want:
        raise InvalidInput("start has other components, features or type", got=got, bound=str(want))
    covariances = kind.rescaled(start.covariances, 1 / rows.scale)
    return Parameters(start.weights, (start.means - rows.shift) / rows.scale, covariances)


def kmeans_plus_plus(rows: Rows, k: int, rng: np.random.Generator) -> Array:
    """(k, d) distinct rows as centres, in standardised space.

    Arthur and Vassilvitskii 2007: each is the best of 2 + log k candidates drawn in proportion to
    weight * squared distance to the nearest centre so far. Raises `InvalidInput` when fewer than k
    rows are distinct: `Rows.of` makes sure that they are not, but some of its rows may be.
    """
    candidates = 2 + int(np.log(k))
    distance = np.ones(len(rows))  # the one array as long as the rows
    centres = rows.at(_draw(distance, rows.weight, 1, rng))
    distance[:] = np.inf
    while len(centres) < k:
        _bring_closer(distance, rows, centres[-1], candidates)
        if not distance.any():
            raise InvalidInput(
                "fewer distinct rows than components",
                got=len(centres),
                bound=f"at least {k}",
                remedy="lower n_components or give more rows",
            )
        tried = rows.at(_draw(distance, rows.weight, candidates, rng))
        best = tried[_left(distance, rows, tried).argmin()]
        centres = np.vstack([centres, best])
    return centres


def lloyd(rows: Rows, centres: Array, steps: int) -> Array:
    """Centres after at most `steps` Lloyd steps; one that loses all its rows stays put."""
    k = len(centres)
    for _ in range(steps):
        total, weight = np.zeros_like(centres), np.zeros(k)
        for _, columns, given in _parts(rows, k):
            own = _own(columns, centres)
            shares = own.astype(np.float64) if given is None else own * given
            total += shares @ columns.T
            weight += shares.sum(axis=1)
        moved = np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-300)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(X: Array, centres: Array) -> NDArray[np.intp]:
    """(n,) index of the nearest centre; the first of several at the same distance."""
    index: NDArray[np.intp] = _nearness(X.T, centres).argmax(axis=0)
    return index


def _parts(rows: Rows, k: int) -> Iterator[tuple[slice, Array, Array | None]]:
    """The rows' columns, so few at once that a product with k centres stays on this thread."""
    return rows.columns(max(_FEWEST, _PRODUCT // (k * rows.n_features)))


def _nearness(columns: Array, centres: Array) -> Array:
    """(k, m) what is largest for the nearest centre."""
    # Of |x - c|^2, |x|^2 is the same for all centres: one matrix product.
    nearness: Array = centres @ columns
    nearness -= 0.5 * np.square(centres).sum(axis=1)[:, None]
    return nearness


def _own(columns: Array, centres: Array) -> NDArray[np.bool_]:
    """(k, m) which centre is the nearest; the first of several at the same distance."""
    nearness = _nearness(columns, centres)
    own: NDArray[np.bool_] = nearness == nearness.max(axis=0)
    if np.count_nonzero(own) > own.shape[1]:
        own = own.argmax(axis=0) == np.arange(len(own))[:, None]
    return own


def _bring_closer(distance: Array, rows: Rows, centre: Array, k: int) -> None:
    """Lower each row's squared `distance` to that to one more centre."""
    for part, columns, _ in _parts(rows, k):
        np.minimum(distance[part], _squared(columns - centre[:, None]), out=distance[part])


def _left(distance: Array, rows: Rows, centres: Array) -> Array:
    """Sum of weight * squared distance were each of `centres` alone the next one, but for a constant."""
    left, lengths = np.zeros(len(centres)), np.square(centres).sum(axis=1)[:, None]
    for part, columns, weight in _parts(rows, len(centres)):
        # One matrix product: what its rounding does to distances next to 0 ranks no centre.
        squared = (-2 * centres) @ columns
        squared += lengths
        np.minimum(squared, distance[part] - _squared(columns), out=squared)
        left += squared.sum(axis=1) if weight is None else squared @ weight
    return left


def _squared(columns: Array) -> Array:
    squared: Array = np.einsum("ij,ij->j", columns, columns)
    return squared


def _draw(mass: Array, weight: Array | None, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """`n` indices with probability in proportion to `mass * weight`; none where that is zero."""

    def cumulated(first: int) -> Array:
        part = slice(first, first + _CHUNK)
        return np.cumsum(mass[part] if weight is None else mass[part] * weight[part])

    if len(mass) <= _CHUNK:
        sums = cumulated(0)
        return _beyond(sums, rng.random(n) * sums[-1])
    firsts = range(0, len(mass), _CHUNK)
    ends = np.cumsum([cumulated(first)[-1] for first in firsts])
    drawn = np.empty(n, np.intp)
    for place, target in enumerate(rng.random(n) * ends[-1]):
        chunk = int(_beyond(ends, target))
        within = target - ends[chunk - 1] if chunk else target
        drawn[place] = firsts[chunk] + _beyond(cumulated(firsts[chunk]), within)
    return drawn


def _beyond(cumulated: Array, targets: Any) -> NDArray[np.intp]:
    """The first index whose sum is above each target; the last with mass when rounding leaves none."""
    # side="right" steps over entries without mass, also for a target of exactly 0.
    found = np.searchsorted(cumulated, targets, side="right")
    index: NDArray[np.intp] = np.minimum(found, np.searchsorted(cumulated, cumulated[-1]))
    return index
