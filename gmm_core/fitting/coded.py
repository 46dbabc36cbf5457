"""Coded rows: numeric rows with the levels of their categorical features.

Rows of one combination of levels differ from those of another, for an E-step, in the offsets of the
components alone. So each combination of many rows is a part of its own, that any kernel serves; what is
left over has a level for each row.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.fitting.rows import Rows
from gmm_core.mixed.levels import Codes

__all__ = ["CodedRows", "Combination"]

_MANY = 256  # rows of a combination: fewer are done row by row before a kernel has begun
_LARGEST = 2**62


@dataclass(frozen=True)
class Combination:
    """All rows that have the same levels: `columns` (q,), as in `Codes`."""

    columns: NDArray[np.intp]
    rows: Rows


@dataclass(frozen=True)
class CodedRows(Rows):
    """Checked rows with the levels `codes` (n, q) of their categorical features."""

    codes: Codes = field(default_factory=lambda: np.empty((0, 0), np.intp))

    @classmethod
    def coded(cls, rows: Rows, codes: Codes) -> CodedRows:
        """Rows that have these levels."""
        return cls(**{one.name: getattr(rows, one.name) for one in fields(Rows)}, codes=codes)

    def part(self, index: Any) -> CodedRows:
        """The rows at `index`, with their weights and levels."""
        weight = None if self.weight is None else self.weight[index]
        return replace(self, values=self.values[index], weight=weight, codes=self.codes[index])

    @cached_property
    def split(self) -> tuple[tuple[Combination, ...], CodedRows]:
        """Combinations of many rows, and the rows of all others. Holds the rows a second time."""
        label = _labels(self.codes)
        order = np.argsort(label, kind="stable")
        counts = np.bincount(label)
        stops = np.cumsum(counts)
        many = np.flatnonzero(counts >= _MANY).tolist()
        found = []
        for one in many:
            index = order[stops[one] - counts[one] : stops[one]]
            own = self.part(index)
            rows = Rows(own.values, own.weight, own.shift, own.scale)
            found.append(Combination(self.codes[index[0]], rows))
        return tuple(found), self.part(np.flatnonzero(counts[label] < _MANY))


def _labels(codes: Codes) -> NDArray[np.intp]:
    """(n,) a number for each combination of levels, from 0 on."""
    key = np.zeros(len(codes), np.int64)
    largest = 1
    for column in codes.T:
        size = int(column.max(initial=0)) + 1
        if largest > _LARGEST // size:
            known, key = np.unique(key, return_inverse=True)
            largest = len(known)
        key, largest = key * size + column, largest * size
    labels: NDArray[np.intp] = np.unique(key, return_inverse=True)[1].reshape(-1)
    return labels
