"""Greedy: merge the closest pair, again and again. The outcome is the list of merges.

Of each component the nearest *later* one is remembered. When that is merged away the remembered
cost stays as a lower bound, and the component is looked at again only when the bound is the least
of all: the "generic" algorithm of Müllner 2011, section 3.1, exact for every criterion. No matrix
of costs: a few numbers a component.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gmm_core.components import Components
from gmm_core.reduction import compiled
from gmm_core.reduction.criteria import CRITERIA, Criterion
from gmm_core.reduction.pool import Pool

__all__ = ["greedy", "groups_of", "many", "merges_by"]

_MANY = 500  # numbers in means: for fewer, a task that merges once would wait a second for compiled code
Pairs = NDArray[np.int64]


def greedy(pool: Pool, k: int, criterion: str) -> Pairs:
    """The merges that bring a pool to k components, in order: (K - k, 2), the first joins the second.

    The pool stays as it is. Compiled where the criterion is, and the pool not small; to rounding that is
    the same.
    """
    if many(pool) and compiled.serves(pool, criterion, CRITERIA[criterion]):
        return compiled.merges(pool, k, criterion)
    return merges_by(pool, k, CRITERIA[criterion])


def many(mixture: Pool | Components) -> bool:
    """Whether components are so many, of so many features, that compiled code pays."""
    return mixture.means.size >= _MANY


def merges_by(pool: Pool, k: int, criterion: Criterion) -> Pairs:
    """`greedy` by any criterion, in numpy."""
    return _Plain(pool, criterion).merges(k)


def groups_of(pairs: Pairs, size: int) -> NDArray[np.intp]:
    """(size,) the group of each component after these merges, named by one of its members.

    >>> groups_of(np.array([[0, 1], [1, 3]]), 4).tolist()
    [3, 3, 2, 3]
    """
    into = np.arange(size)
    # Backwards: what a component joins has its final place by then.
    for i, j in pairs[::-1].tolist():
        into[i] = into[j]
    return into


class _Plain:
    """The search in numpy, for every criterion; `gmm_core.kernels.closest` comes to the same."""

    def __init__(self, pool: Pool, criterion: Criterion) -> None:
        self.pool, self.criterion = pool.copy(), criterion
        self.closest = np.full(len(pool), np.inf)
        self.nearest = np.full(len(pool), -1)
        self.stale = np.zeros(len(pool), dtype=np.bool_)

    def merges(self, k: int) -> Pairs:
        size = len(self.pool)
        pairs = np.empty((size - k, 2), np.int64)
        if k == size:
            return pairs
        for i in range(size):
            self._look(i, self.criterion(self.pool, i))
        for turn in range(size - k):
            while self.stale[i := int(self.closest.argmin())]:
                self._look(i, self.criterion(self.pool, i))
            pairs[turn] = i, self.nearest[i]
            self._merge(i, int(self.nearest[i]))
        return pairs

    def _look(self, i: int, costs: NDArray[np.float64]) -> None:
        """Remember the nearest later component that lives."""
        later = np.where(self.pool.alive[i + 1 :], costs[i + 1 :], np.inf)
        self.closest[i], self.nearest[i], self.stale[i] = np.inf, -1, False
        if self.pool.alive[i + 1 :].any():
            at = int(later.argmin())
            self.closest[i], self.nearest[i] = later[at], i + 1 + at

    def _merge(self, i: int, j: int) -> None:
        self.pool.merge(i, j)
        self.closest[i], self.nearest[i] = np.inf, -1
        costs = self.criterion(self.pool, j)
        closest, nearest, stale = self.closest[:j], self.nearest[:j], self.stale[:j]
        touched = (nearest == i) | (nearest == j)
        nearest[touched], stale[touched] = j, True
        earlier = costs[:j]
        nearer = (earlier < closest) | ((earlier == closest) & (stale | (j < nearest)))
        nearer &= self.pool.alive[:j]
        closest[nearer], nearest[nearer], stale[nearer] = earlier[nearer], j, False
        self._look(j, costs)
