"""Patterns: which features of which rows are there, where NaN stands for a missing value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.moments import combine

__all__ = ["Pattern", "observed_moments", "patterns_of"]

_CHUNK = 8_192


@dataclass(frozen=True)
class Pattern:
    """Rows of which the same features are missing.

    Parameters
    ----------
    observed : (p,) and absent : (d - p,), numbers of the features, ascending.
    index : (m,) numbers of the rows, ascending.
    """

    observed: NDArray[np.intp]
    absent: NDArray[np.intp]
    index: NDArray[np.intp]

    def blocks(self, size: int) -> Iterator[NDArray[np.intp]]:
        """The index in parts of at most `size` rows."""
        for first in range(0, len(self.index), size):
            yield self.index[first : first + size]


def patterns_of(values: NDArray[Any]) -> tuple[Pattern, ...]:
    """The patterns of rows (n, d), each row in one; complete rows, if any, come first.

    Holds a bit per value and a number per row.

    >>> rows = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.nan]])
    >>> [(p.observed.tolist(), p.index.tolist()) for p in patterns_of(rows)]
    [([0, 1], [1]), ([0], [0, 2])]
    """
    n, d = values.shape
    bits = np.empty((n, (d + 7) // 8), np.uint8)
    for first in range(0, n, _CHUNK):
        part = slice(first, first + _CHUNK)
        bits[part] = np.packbits(np.isnan(values[part]), axis=1)
    kinds, label = np.unique(bits, axis=0, return_inverse=True)
    label = label.reshape(-1)
    order = np.argsort(label, kind="stable")
    stops = np.cumsum(np.bincount(label, minlength=len(kinds)))
    lost = np.unpackbits(kinds, axis=1, count=d).astype(bool)
    return tuple(
        Pattern(np.flatnonzero(~absent), np.flatnonzero(absent), index)
        for absent, index in zip(lost, np.split(order, stops[:-1]), strict=True)
    )


def observed_moments(values: NDArray[Any], weight: Array | None) -> tuple[Array, Array]:
    """(d,) means and variances, each feature's from the rows that have it; at least one must.

    >>> observed_moments(np.array([[1.0, np.nan], [3.0, 5.0]]), None)[0].tolist()
    [2.0, 5.0]
    """
    d = values.shape[1]
    total: tuple[Any, Array, Array] = (np.zeros(d), np.zeros((d, 1)), np.zeros((d, 1)))
    for first in range(0, len(values), _CHUNK):
        chunk = values[first : first + _CHUNK].astype(np.float64)
        there = ~np.isnan(chunk)
        own = np.ones(len(chunk)) if weight is None else weight[first : first + _CHUNK]
        share = there * own[:, None]
        mass = share.sum(axis=0)
        by = np.where(mass > 0, mass, 1.0)
        # About a value that is there: a common offset then costs no digits.
        origin = np.where(mass > 0, chunk[there.argmax(axis=0), np.arange(d)], 0.0)
        chunk = np.where(there, chunk - origin, 0.0)
        mean = (share * chunk).sum(axis=0) / by
        scatter = (share * np.square(chunk - mean)).sum(axis=0)
        total = combine(*total, mass, (origin + mean)[:, None], scatter[:, None])
    mass, means, scatters = total
    return means[:, 0], scatters[:, 0] / mass
