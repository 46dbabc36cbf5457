"""Cells: what a column's values look like from a little farther away; pooled without loss.

A cell has the weight, mean, variance, least and largest value of the rows in it. A million rows or
a thousand million are some thousand cells, and cells of parts of the rows add up to those of all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_weights, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.moments import Moments, combine
from gmm_core.squashing.grid import FURTHEST, Grid

__all__ = ["Apart", "Cells"]


@dataclass(frozen=True)
class Apart:
    """Weight of the rows that are in no cell: NULL, NaN, and infinite or beyond 1e140."""

    null: float = 0.0
    nan: float = 0.0
    infinite: float = 0.0

    @property
    def total(self) -> float:
        """Weight of all of them."""
        return self.null + self.nan + self.infinite

    def __add__(self, other: Apart) -> Apart:
        return Apart(self.null + other.null, self.nan + other.nan, self.infinite + other.infinite)


@dataclass(frozen=True)
class Cells:
    """The occupied cells of one column, in ascending order of their means.

    Parameters
    ----------
    grid : what divided the values.
    zone, key : (m,) name of each cell.
    weight : (m,) of its rows, above 0.
    mean, variance : (m,) of its rows; the variance is 0 where all of them are equal.
    minimum, maximum : (m,) least and largest value.
    apart : what is in no cell.

    >>> day = Cells.of([1.0, 1.0, 2.0, float("nan")], Grid.scale_free())
    >>> len(day), day.rows, day.apart.nan, float(day.moments.mean[0])
    (2, 3.0, 1.0, 1.3333333333333333)
    >>> (day + day).weight.tolist()
    [4.0, 2.0]
    """

    grid: Grid
    zone: NDArray[np.int64]
    key: Array
    weight: Array
    mean: Array
    variance: Array
    minimum: Array
    maximum: Array
    apart: Apart = field(default_factory=Apart)

    def __post_init__(self) -> None:
        m = len(self.key)
        for name in ("key", "weight", "mean", "variance", "minimum", "maximum"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (m,)))
        for name in ("weight", "variance"):
            values = getattr(self, name)
            if m and (values.min() < 0 or (name == "weight" and values.min() == 0)):
                raise InvalidInput(f"{name} of cells", got=float(values.min()), bound="above 0")

    @classmethod
    def of(cls, values: ArrayLike, grid: Grid, sample_weight: ArrayLike | None = None) -> Cells:
        """The cells of values (n,): the plain twin of what Spark computes in SQL.

        Raises `InvalidInput` for weights that are no weights.
        """
        x = np.asarray(values, dtype=np.float64).ravel()
        given = as_weights(sample_weight, len(x))
        weight = np.ones(len(x)) if given is None else given
        nan, far = np.isnan(x), np.abs(x) > FURTHEST
        apart = Apart(nan=float(weight[nan].sum()), infinite=float(weight[far].sum()))
        some = ~(nan | far) & (weight > 0)
        x, weight = x[some], weight[some]
        zone, key, offset = grid.keys(x)
        order = np.lexsort((key, zone))
        first = _firsts(zone[order], key[order])
        if not len(first):
            return cls.nothing(grid, apart)

        def total(part: Array) -> Array:
            sums: Array = np.add.reduceat(part[order], first)
            return sums

        return cls.of_sums(
            grid, zone[order][first], key[order][first],
            total(weight), total(weight * offset), total(weight * np.square(offset)),
            np.minimum.reduceat(x[order], first), np.maximum.reduceat(x[order], first), apart,
        )  # fmt: skip

    @classmethod
    def of_sums(
        cls,
        grid: Grid,
        zone: ArrayLike,
        key: ArrayLike,
        weight: ArrayLike,
        first: ArrayLike,
        second: ArrayLike,
        minimum: ArrayLike,
        maximum: ArrayLike,
        apart: Apart,
    ) -> Cells:
        """From sums per cell, (m,) each: of weights, and of weighted offsets and their squares.

        Offsets are as `Grid.keys` gives them: at most half a cell, so their squares cost no digits.
        """
        places = np.asarray(zone, dtype=np.int64)
        heavy, key = np.asarray(weight, np.float64), np.asarray(key, np.float64)
        pivot, unit, _ = (part[places] for part in grid.columns())
        low, high = np.asarray(minimum, np.float64), np.asarray(maximum, np.float64)
        offset = np.asarray(first, np.float64) / heavy
        variance = np.maximum(np.asarray(second, np.float64) / heavy - np.square(offset), 0.0)
        mean = np.clip(pivot + unit * (key + offset), low, high)
        variance = np.where(low == high, 0.0, np.square(unit) * variance)
        order = np.lexsort((key, mean))
        return cls(
            grid, places[order], key[order], heavy[order], mean[order], variance[order],
            low[order], high[order], apart,
        )  # fmt: skip

    @classmethod
    def nothing(cls, grid: Grid, apart: Apart | None = None) -> Cells:
        """Of no rows: the neutral element of `+`."""
        none = np.zeros(0)
        places = np.zeros(0, np.int64)
        return cls(grid, places, none, none, none, none, none, none, apart or Apart())

    def __len__(self) -> int:
        return len(self.key)

    def __add__(self, other: Cells) -> Cells:
        """Cells of both parts; raises `InvalidInput` unless one grid divided both."""
        if not isinstance(other, Cells):
            return NotImplemented
        if self.grid != other.grid:
            raise InvalidInput(
                "cells of different grids cannot be pooled", remedy="divide both by one grid"
            )
        names = [(c.zone.astype(float), c.key) for c in (self, other)]
        every = np.unique(np.concatenate([np.stack(name, axis=1) for name in names]), axis=0)
        apart = self.apart + other.apart
        if not len(every):
            return Cells.nothing(self.grid, apart)
        mine, theirs = (_spread(c, every) for c in (self, other))
        weight, mean, scatter = combine(*mine[:3], *theirs[:3])
        low, high = np.minimum(mine[3], theirs[3]), np.maximum(mine[4], theirs[4])
        mean, variance = mean[:, 0], scatter[:, 0] / weight
        order = np.lexsort((every[:, 1], mean))
        return Cells(
            self.grid, every[order, 0].astype(np.int64), every[order, 1], weight[order],
            mean[order], variance[order], low[order], high[order], apart,
        )  # fmt: skip

    @property
    def rows(self) -> float:
        """Weight of the rows in cells."""
        return float(self.weight.sum())

    @property
    def moments(self) -> Moments:
        """Moments of the rows in cells: exact, cells lose nothing of them."""
        d = Moments.of(self.mean[:, None], self.weight) if len(self) else Moments.empty(1)
        return replace(d, scatter=d.scatter + (self.weight @ self.variance))


def _firsts(zone: NDArray[np.intp], key: Array) -> NDArray[np.intp]:
    """Where a run of equal names begins."""
    if not len(key):
        return np.zeros(0, np.intp)
    new = np.concatenate([[True], (zone[1:] != zone[:-1]) | (key[1:] != key[:-1])])
    return np.flatnonzero(new)


def _spread(cells: Cells, every: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Weight (m,), mean and scatter (m, 1), minimum and maximum (m,) at all names (m, 2)."""
    own = np.stack([cells.zone.astype(float), cells.key], axis=1)
    pairs = np.concatenate([every, own])
    _, inverse = np.unique(pairs, axis=0, return_inverse=True)
    at = inverse.ravel()[len(every) :]
    m = len(every)
    weight, mean, scatter = np.zeros(m), np.zeros((m, 1)), np.zeros((m, 1))
    low, high = np.full(m, np.inf), np.full(m, -np.inf)
    weight[at], mean[at, 0], scatter[at, 0] = (
        cells.weight,
        cells.mean,
        cells.weight * cells.variance,
    )
    low[at], high[at] = cells.minimum, cells.maximum
    return weight, mean, scatter, low, high
