"""The compiled closest-pair search, for the criteria that have one: Runnalls and Hotelling.

Both costs stay the same when all components are mapped affinely. So the pool is brought to
coordinates in which the average component is round and the first ones tell the means apart best
(linear discriminants, Fisher 1936): a pair that is far apart is then seen to be after a feature or
two. Only the costs are computed there; groups are merged in the features' own units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import cholesky, inverse_cholesky
from gmm_core.extras import optional
from gmm_core.reduction.criteria import hotelling, runnalls
from gmm_core.reduction.pool import Pool

__all__ = ["discriminants", "merges", "serves"]

_COMPILED: dict[str, Callable[[Pool, int], Array]] = {"hotelling": hotelling, "runnalls": runnalls}
_TILE = 8  # components that are compared at once
_LEAF = 64  # components near enough to one another to be put in order of weight
_WIDEST = 1e40  # variances further apart than this: the products of their pivots could overflow
_THREADS_FROM = 1_000  # components: fewer are done before another thread has begun
_NO_PAIRS = np.empty((0, 2), np.int64)
_HALVE_FROM = 64  # components: fewer are not worth closing the gaps between


def serves(pool: Pool, name: str, criterion: Callable[[Pool, int], Array]) -> bool:
    """Whether there is compiled code for this criterion, and its numbers can hold these components."""
    if _COMPILED.get(name) is not criterion:
        return False
    variances = pool.kind.variances(pool.covariances, *pool.means.shape)
    widest = variances.max(axis=0) / variances.min(axis=0)
    return bool((widest < _WIDEST).all())


def merges(pool: Pool, k: int, name: str) -> NDArray[np.int64]:
    """As `greedy.greedy`. The gaps that merged components leave are closed whenever half are gone."""
    means, covariances = discriminants(pool)
    number = _near_together(means, pool.weights)
    found = (pool.weights[number], means[number].ravel(), covariances[number].ravel())
    search = _Search(found, means.shape[1], name == "runnalls")
    parts = [_NO_PAIRS]
    while (size := len(number)) > k:
        left = k if size < _HALVE_FROM else max(k, size // 2)
        pairs = search.merge(size - left)
        parts.append(number[pairs])
        number = np.delete(number, pairs[:, 0])
        search.close_gaps(pairs[:, 0])
    return np.concatenate(parts)


def discriminants(pool: Pool) -> tuple[Array, Array]:
    """Means (K, d) and covariances of the pool in the coordinates of its linear discriminants.

    "diag" keeps its axes: these are scaled and put in order alone.
    """
    weight = pool.weights / pool.weights.sum()
    away = pool.means - weight @ pool.means
    within = np.tensordot(weight, pool.covariances, axes=1)
    if within.ndim == 1:
        unit = np.sqrt(within)
        order = np.argsort(-(weight @ np.square(away / unit)), kind="stable")
        return (away / unit)[:, order], (pool.covariances / within)[:, order]
    whitener = inverse_cholesky(within[None])[0]
    white = np.sqrt(weight)[:, None] * (away @ whitener.T)
    turn = np.linalg.eigh(white.T @ white)[1][:, ::-1]
    onto = turn.T @ whitener
    # By factors, so that covariances stay positive definite whatever the rounding.
    factors = onto @ cholesky(pool.covariances)
    return away @ onto.T, factors @ factors.transpose(0, 2, 1)


def _near_together(means: Array, weights: Array) -> NDArray[np.intp]:
    """An order in which each eight neighbours, that are compared at once, are near and weigh alike.

    Halved again and again at the median of the feature that spreads most, as a k-d tree is; what is
    left of that is in order of weight.
    """
    parts, done = [np.arange(len(means))], []
    while parts:
        part = parts.pop()
        if len(part) <= _LEAF:
            done.append(part[np.argsort(-weights[part], kind="stable")])
            continue
        own = means[part]
        widest = int(np.ptp(own, axis=0).argmax())
        half = -(-len(part) // (2 * _TILE)) * _TILE
        part = part[np.argsort(own[:, widest], kind="stable")]
        parts += [part[half:], part[:half]]
    return np.concatenate(done)


class _Search:
    """What `gmm_core.kernels.closest` works on, and the calls."""

    def __init__(self, components: Sequence[Array], d: int, runnalls: bool) -> None:
        self.kernels = optional("gmm_core.kernels.closest", "Compiled kernels", "numba")
        weights, means, covariances = components
        size = len(weights)
        self.components = (weights, means, covariances, np.empty(size))
        full = len(covariances) == len(means) * d and d > 1
        self.what = (runnalls, full, d)
        self.birth = size
        near = size * self.kernels.REMEMBERED
        self.found = (
            np.empty(near),
            np.empty(near, np.int64),
            np.empty(size, np.int64),
            _in_eights(np.empty(size)),
        )
        self._pack(np.argsort(np.argsort(-weights, kind="stable")))
        self._look_everywhere()

    def merge(self, count: int) -> NDArray[np.int64]:
        pairs = np.empty((count, 2), np.int64)
        self._work(self.kernels.MERGE, self.birth, pairs=pairs)
        self.birth += count
        return pairs

    def close_gaps(self, gone: NDArray[np.int64]) -> None:
        """Renumber what lives, in its order."""
        costs, places, passed, closest = self.found
        size = len(passed)
        lives = np.ones(size, np.bool_)
        lives[gone] = False
        own = np.arange(size)[:, None]
        places = places.reshape(size, -1)
        # What is gone, or was replaced by a union, becomes the component itself.
        places = np.where(self.born[places] < self.born[own], places, own)[lives]
        renumbered = np.cumsum(lives) - 1
        self.found = (
            costs.reshape(size, -1)[lives].ravel(),
            renumbered[places].ravel(),
            passed[lives],
            _in_eights(closest[:size][lives]),
        )
        weights, means, covariances, widths = (
            part.reshape(size, -1)[lives].ravel() for part in self.components
        )
        self.components = (weights, means, covariances, widths)
        self._pack(self.born[:size][lives])

    def _pack(self, births: NDArray[np.int64]) -> None:
        """Tiles and boxes anew, in whole groups of eight tiles."""
        size, d = len(births), self.what[2]
        groups = -(-size // _TILE**2)
        rows = 1 + 3 * d + (d * (d - 1) // 2 if self.what[1] else 0)
        self.packed = (np.zeros(groups * _TILE**2 * rows), np.empty(groups * _TILE * (3 * d + 2)))
        self.born = np.full(groups * _TILE**2, self.kernels.GONE)
        self.born[:size] = births
        self._work(self.kernels.FILL)

    def _work(
        self, job: int, first: int = 0, step: int = 1, pairs: NDArray[np.int64] = _NO_PAIRS
    ) -> None:
        state = (self.components, self.packed, self.born, self.found)
        self.kernels.work(job, *self.what, *state, first, step, pairs)

    def _look_everywhere(self) -> None:
        size = len(self.components[0])
        threads = min(2, _threads()) if size >= _THREADS_FROM else 1

        def look(first: int) -> None:
            self._work(self.kernels.LOOK, first, threads)

        if threads == 1:
            look(0)
            return
        with ThreadPoolExecutor(threads) as workers:
            list(workers.map(look, range(threads)))


def _in_eights(values: Array) -> Array:
    """The values, with what is never the least behind them, to whole eights."""
    padded = np.full(-(-len(values) // _TILE) * _TILE, np.inf)
    padded[: len(values)] = values
    return padded


def _threads() -> int:
    return int(optional("numba", "Compiled kernels", "numba").config.NUMBA_NUM_THREADS)
