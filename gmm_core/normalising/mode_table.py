"""Share table: modes drawn by their responsibilities with a few look-ups and no exponential.

Responsibilities are tabulated at nodes along the line. A value between two nodes goes to one of them
with a chance that is linear in where it lies, and the mode is drawn there by the alias method (Walker
1977): so the chance of a mode is its responsibility, interpolated linearly. Nodes are evenly spaced
within a zone, so that finding them is arithmetic, and each zone has as many as the tolerance asks
for. Every engine draws the very same modes, at a cost that does not grow with their number.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.mixture import Mixture

__all__ = ["ShareTable"]

_TOLERANCE = 1e-3
_MOST_CELLS = 256  # of a zone
_MOST_ZONES = 64
_REACH = 8.0  # standard deviations: what lies further out is as good as not the mode's
_MERGING = 16  # cells more that one zone less is worth
_INSIDE = np.array([0.25, 0.5, 0.75])  # where in a cell interpolation is compared with the truth
_MARKS = np.array([-5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0])  # so that no mode is overseen
_FINE = 2.0**20  # chances are multiples of its reciprocal: they are short as text
_LOW = np.uint64(2**20 - 1)  # bits of a hash that choose the node; the 53 highest choose the mode

Zone = tuple[float, float, int, float]  # from, to, cells, error of interpolation


@dataclass(frozen=True, eq=False)
class ShareTable:
    """What the modes of a mixture of one feature are drawn by.

    Parameters
    ----------
    edges : (z - 1,) increasing, between the zones.
    starts, rates, cells, firsts : (z,) of each zone where it begins, cells per unit, how many cells,
        and the number of its first node.
    slots : (nodes, k); of slot j the mode that it shares its place with, plus the chance that j keeps.
    error : how far interpolated responsibilities were from exact ones where they were compared.

    >>> table = ShareTable.of(Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical"))
    >>> len(table.starts), table.slots.shape, table.error < 1e-3
    (3, (69, 2), True)
    >>> x, bits = np.array([-3.0, 3.0]), np.array([1, 2], np.uint64) << np.uint64(60)
    >>> table.drawn(x, bits).tolist()
    [0, 1]
    """

    edges: Array
    starts: Array
    rates: Array
    cells: Array
    firsts: NDArray[np.int64]
    slots: Array
    error: float

    @classmethod
    def of(cls, mixture: Mixture, tolerance: float = _TOLERANCE) -> ShareTable:
        """Zones reach from mode to mode; neighbours are joined where that costs few nodes."""
        zones = _joined(mixture, tolerance)
        low, high, cells, errors = (np.array(part) for part in zip(*zones, strict=True))
        lines = [np.linspace(a, b, int(n) + 1) for a, b, n, _ in zones]
        return cls(
            edges=low[1:],
            starts=low,
            rates=cells / (high - low),
            cells=cells.astype(np.float64),
            firsts=np.concatenate([[0], np.cumsum(cells + 1)[:-1]]),
            slots=_aliases(mixture.responsibilities(np.concatenate(lines)[:, None])),
            error=float(errors.max()),
        )

    def drawn(self, x: Array, bits: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,) modes of values (n,), none NaN, drawn by hashes (n,)."""
        zone = np.searchsorted(self.edges, x, side="right")
        with np.errstate(over="ignore"):
            along = (x - self.starts[zone]) * self.rates[zone]
        along = np.minimum(np.maximum(along, 0.0), self.cells[zone])
        cell = along.astype(np.int64)
        node = self.firsts[zone] + cell + ((bits & _LOW) / _FINE < along - cell)
        place = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53 * self.slots.shape[1]
        slot = place.astype(np.int64)
        entry = self.slots[node, slot]
        other = entry.astype(np.int64)
        mode: NDArray[np.int64] = np.where(place - slot < entry - other, slot, other)
        return mode


def _joined(mixture: Mixture, tolerance: float) -> list[Zone]:
    """Zones between the means and eight deviations around them, joined greedily."""
    means, deviations = mixture.means, mixture.standard_deviations()
    ends = np.unique(means + _REACH * deviations * np.array([-1.0, 0.0, 1.0]))
    marks = np.unique(means + deviations * _MARKS)
    zones: list[Zone] = []
    waiting = list(itertools.pairwise(ends.tolist()))[::-1]
    while waiting:
        low, high = waiting.pop()
        zone, middle = _zone(mixture, low, high, marks, tolerance), low + 0.5 * (high - low)
        if zone[3] > tolerance and len(zones) + len(waiting) < _MOST_ZONES and low < middle < high:
            waiting += [(middle, high), (low, middle)]
        else:
            zones.append(zone)
    at = 0
    while at + 1 < len(zones):
        one, two = zones[at], zones[at + 1]
        both = _zone(mixture, one[0], two[1], marks, tolerance)
        if both[2] <= one[2] + two[2] + _MERGING and both[3] <= max(one[3], two[3], tolerance):
            zones[at : at + 2] = [both]
            at = max(at - 1, 0)
        else:
            at += 1
    return zones


def _zone(mixture: Mixture, low: float, high: float, marks: Array, tolerance: float) -> Zone:
    """As few cells, 1, 2, 4, ..., as the tolerance takes; compared in each cell, and at the marks."""
    within = marks[(marks > low) & (marks < high)]
    cells = 1
    while True:
        nodes = np.linspace(low, high, cells + 1)
        inside = (nodes[:-1, None] + _INSIDE * np.diff(nodes)[:, None]).ravel()
        points = np.append(inside, within)
        shares = mixture.responsibilities(np.append(nodes, points)[:, None])
        ends, exact = shares[: cells + 1], shares[cells + 1 :]
        along = (points - low) / (high - low) * cells
        cell = np.minimum(along.astype(np.int64), cells - 1)
        drawn = ends[cell] + (along - cell)[:, None] * (ends[cell + 1] - ends[cell])
        error = float(np.abs(drawn - exact).max())
        if error <= tolerance or cells == _MOST_CELLS:
            return low, high, cells, error
        cells *= 2


def _aliases(shares: Array) -> Array:
    """Slots (m, k) of probabilities (m, k): Vose 1991, all rows at a time.

    Each step fills the slot that lacks most from the one that has most: k - 1 steps leave none.
    """
    m, k = shares.shape
    left = shares / shares.sum(axis=1, keepdims=True) * k
    kept = np.ones((m, k))
    other = np.tile(np.arange(k), (m, 1))
    rows, open_ = np.arange(m), np.ones((m, k), dtype=bool)
    for _ in range(k - 1):
        poor = np.where(open_, left, np.inf).argmin(axis=1)
        rich = np.where(open_, left, -np.inf).argmax(axis=1)
        kept[rows, poor] = np.minimum(left[rows, poor], 1.0)
        other[rows, poor] = rich
        left[rows, rich] -= 1 - kept[rows, poor]
        open_[rows, poor] = False
    kept = np.floor(np.clip(kept, 0, 1) * _FINE) / _FINE
    whole = kept >= 1  # a chance of 1 would read as the next mode: the slot shares with itself
    return np.where(whole, np.arange(k), other + kept)
