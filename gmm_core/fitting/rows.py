"""Rows: the input of a fit, seen standardised and one chunk at a time.

The fit works on (x - shift) / scale with the rows' own mean and standard deviation. So an offset
of 1e8 costs no digits, features in any unit weigh alike in the seeding, and no second copy of the
input exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, Missing, as_rows, as_weights
from gmm_core.errors import InvalidInput
from gmm_core.fitting.patterns import Pattern, patterns_of
from gmm_core.fitting.standardising import (
    added_variance,
    check_distinct,
    distinct,
    standardisation,
    widened,
    within_of,
)

__all__ = ["Rows"]

CHUNK = 8_192
RANGE = 1_024  # rows whose least and largest value are kept together
_TURNED = 4_096  # rows that are turned together
_KEPT = 1 << 23  # bytes of rows that are kept turned


@dataclass(frozen=True)
class Rows:
    """Checked rows with their weights, shift and scale.

    Parameters
    ----------
    values : (n, d) as given, in the caller's units; no row has weight 0.
    weight : (n,) mean 1, or `None` when all rows weigh the same.
    shift, scale : (d,)
    incomplete : whether values may be missing (NaN).
    fence : (low, high), (d,) each in standardised units: beyond them rows are no place to start.
    within : (n,) where a row of one feature stands for several: their variance, in the caller's units.
    unit : the caller's weight that is 1 here.
    """

    values: NDArray[Any]
    weight: Array | None
    shift: Array
    scale: Array
    incomplete: bool = False
    fence: tuple[Array, Array] | None = None
    within: Array | None = None
    unit: float = 1.0

    @classmethod
    def of(
        cls,
        X: ArrayLike,
        sample_weight: ArrayLike | None,
        reg_covar: ArrayLike,
        k: int,
        *,
        isotropic: bool = False,
        missing: Missing | None = None,
        within: ArrayLike | None = None,
    ) -> tuple[Rows, Array]:
        """Check the input of a fit of k components; `isotropic` gives all features one scale.

        Where `missing` is "marginalise", NaN is a missing value, and a row without any value is left
        out as one of weight 0 is.

        Returns
        -------
        The rows, and the variance to add, (d,), in standardised units.

        Raises
        ------
        InvalidInput : no rows, fewer distinct rows than k, NaN, infinite values, bad weights, a bad
            reg_covar, a feature without any value.
        FitFailed : a constant feature to which no variance is added.
        """
        values = as_rows(X, missing=missing)
        weight = as_weights(sample_weight, len(values))
        if values.shape[1] == 0:
            raise InvalidInput(
                "rows have no features", got=values.shape, bound="at least 1 feature"
            )
        # The least of values is NaN when one of them is.
        incomplete = missing == "marginalise" and bool(np.isnan(values.min(initial=0)))
        inner = within_of(within, values, missing)
        values, weight, inner, unit = _that_count(values, weight, inner, incomplete)
        if len(values) < k:
            raise InvalidInput(
                "fewer rows than components",
                got=len(values),
                bound=f"at least {k}",
                remedy="lower n_components",
            )
        if not incomplete:
            check_distinct(values, k)
        added = added_variance(reg_covar, values.shape[1])
        shift, scale = standardisation(values, weight, added, incomplete)
        if inner is not None:
            scale = widened(scale, inner, weight)
        rows = cls(values, weight, shift, scale, incomplete, within=inner, unit=unit)
        rows = rows.standardised(shift, scale, isotropic=isotropic)
        if incomplete:
            check_distinct(values, k, rows.shift)
        return rows, added / np.square(rows.scale)

    def standardised(self, shift: Array, scale: Array, *, isotropic: bool = False) -> Rows:
        """The same rows under another shift and scale, perhaps one scale for all features."""
        if isotropic:
            scale = np.full_like(scale, np.sqrt(np.square(scale).mean()))
        if self.values.dtype == np.float32:
            # Numbers that float32 holds: its kernels then subtract and divide by these very ones.
            shift = shift.astype(np.float32).astype(np.float64)
            scale = 1 / (1 / scale).astype(np.float32).astype(np.float64)
        return replace(self, shift=shift, scale=scale)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def total(self) -> float:
        """Weight of all rows, in the caller's units: as many rows of weight 1 count as much."""
        return max(len(self) * self.unit, float(np.finfo(np.float64).tiny))  # others divide by it

    @property
    def n_features(self) -> int:
        """d"""
        return len(self.shift)

    def chunks(self) -> Iterator[tuple[slice, Array, Array]]:
        """Parts in order: their place, standardised rows (m, d) and weights (m,)."""
        for first in range(0, len(self), CHUNK):
            part = slice(first, min(first + CHUNK, len(self)))
            weight = np.ones(part.stop - first) if self.weight is None else self.weight[part]
            yield part, self.at(part), weight

    def columns(self, most: int) -> Iterator[tuple[slice, Array, Array | None]]:
        """As `chunks`, `most` rows each, but turned, (d, m): many times faster to pass over feature by
        feature. Without weights where all rows weigh the same."""
        kept, step = len(self) * self.n_features * 8 <= _KEPT, min(most, _TURNED)
        for first in range(0, len(self), step):
            part = slice(first, min(first + step, len(self)))
            weight = None if self.weight is None else self.weight[part]
            turned = self._turned[:, part] if kept else np.ascontiguousarray(self.at(part).T)
            yield part, turned, weight

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """`n` of the rows, with their weights, in their order: one at random of each of n equal parts."""
        borders = np.arange(n + 1) * len(self) // n
        return self.part(rng.integers(borders[:-1], borders[1:]))

    def part(self, index: Any) -> Rows:
        """The rows at `index`, with their weights."""
        weight = None if self.weight is None else self.weight[index]
        within = None if self.within is None else self.within[index]
        return replace(self, values=self.values[index], weight=weight, within=within)

    def at(self, index: Any) -> Array:
        """The standardised rows at `index`, perhaps read-only; a missing value stands as 0, the shift."""
        return self._few[index] if len(self) <= CHUNK else self._standardised(index)

    @cached_property
    def _few(self) -> Array:
        """All of them: seeding passes many times over rows that are few."""
        rows = self._standardised(slice(None))
        rows.flags.writeable = False
        return rows

    @cached_property
    def _turned(self) -> Array:
        turned = np.ascontiguousarray(self.at(slice(None)).T)
        turned.flags.writeable = False
        return turned

    def _standardised(self, index: Any) -> Array:
        rows: Array = (self.values[index].astype(np.float64) - self.shift) / self.scale
        if self.incomplete:
            rows[np.isnan(rows)] = 0.0
        return rows

    def inside(self, chunk: Array) -> NDArray[np.bool_]:
        """(m,) which of the standardised rows (m, d) lie within the fence."""
        if self.fence is None:
            return np.ones(len(chunk), dtype=np.bool_)
        low, high = self.fence
        within: NDArray[np.bool_] = np.all((chunk >= low) & (chunk <= high), axis=1)
        return within

    def central(self, k: int) -> Rows:
        """The rows within the fence; all of them when fewer than k distinct ones are."""
        if self.fence is None:
            return self
        within = np.concatenate([self.inside(chunk) for _, chunk, _ in self.chunks()])
        part = self.part(within)
        return part if distinct(part.values, k, self.shift) >= k else self

    @cached_property
    def stretched(self) -> Rows:
        """Rows of two features, each value and its deviation within (`gmm_core.fitting.within`)."""
        deviation = np.sqrt(np.zeros(len(self)) if self.within is None else self.within)
        values = np.column_stack([self.values[:, 0], deviation])
        shift, scale = np.append(self.shift, 0.0), np.repeat(self.scale, 2)
        return Rows(values, self.weight, shift, scale)

    @cached_property
    def ranges(self) -> tuple[Array, Array]:
        """(blocks, ) least and largest standardised value of `RANGE` rows each; one feature only."""
        values, starts = self.values[:, 0], np.arange(0, len(self), RANGE)
        ends = (np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts))
        least, largest = ((end.astype(np.float64) - self.shift) / self.scale for end in ends)
        return least, largest

    @cached_property
    def memory(self) -> dict[str, Any]:
        """What E-steps learnt of these very rows and the next ones may use: of time alone, by name."""
        return {}

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """Which values are missing."""
        return patterns_of(self.values)

    @cached_property
    def log_volume(self) -> float:
        """Log of the standardised unit's volume in the caller's units, over what a row has: its mean.

        A log-density per standardised unit, less this, is one per unit of the caller.
        """
        size = np.log(self.scale)
        if not self.incomplete:
            return float(size.sum())
        heavy = np.ones(len(self)) if self.weight is None else self.weight
        per = [heavy[p.index].sum() * size[p.observed].sum() for p in self.patterns]
        return float(sum(per) / heavy.sum())


def _that_count(
    values: NDArray[Any], weight: Array | None, within: Array | None, incomplete: bool
) -> tuple[NDArray[Any], Array | None, Array | None, float]:
    """Without rows of weight 0, or without any value; the weights' mean made 1, and what it was."""
    counts = np.ones(len(values), dtype=np.bool_) if weight is None else weight > 0
    if incomplete:
        counts &= ~np.isnan(values).all(axis=1)
    if not counts.all():
        values, weight = values[counts], None if weight is None else weight[counts]
        within = None if within is None else within[counts]
    unit = 1.0
    if weight is not None and len(weight):
        weight.flags.writeable = True  # it is no one else's: `as_weights` copies
        largest = float(weight.max())
        weight /= largest  # or the sum may be no number
        mean = float(weight.mean())
        weight /= mean
        unit = largest * mean
    return values, weight, within, unit
