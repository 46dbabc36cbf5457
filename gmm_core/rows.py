"""Rows: the input of a fit, seen standardised and one chunk at a time.

The fit works on (x - shift) / scale with the rows' own mean and standard deviation. So an offset
of 1e8 costs no digits, features in any unit weigh alike in the seeding, and no second copy of the
input exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows, as_weights
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.moments import Moments

__all__ = ["Rows"]

CHUNK = 8_192
_NARROWEST, _WIDEST = 1e-140, 1e140


@dataclass(frozen=True)
class Rows:
    """Checked rows with their weights, shift and scale.

    Parameters
    ----------
    values : (n, d) as given, in the caller's units; no row has weight 0.
    weight : (n,) mean 1, or `None` when all rows weigh the same.
    shift, scale : (d,)
    """

    values: NDArray[Any]
    weight: Array | None
    shift: Array
    scale: Array

    @classmethod
    def of(
        cls,
        X: ArrayLike,
        sample_weight: ArrayLike | None,
        reg_covar: ArrayLike,
        k: int,
        *,
        isotropic: bool = False,
    ) -> tuple[Rows, Array]:
        """Check the input of a fit of k components; `isotropic` gives all features one scale.

        Returns
        -------
        The rows, and the variance to add, (d,), in standardised units.

        Raises
        ------
        InvalidInput : no rows, fewer distinct rows than k, NaN, infinite values, bad weights, a bad
            reg_covar.
        FitFailed : a constant feature to which no variance is added.
        """
        values = as_rows(X)
        weight = as_weights(sample_weight, len(values))
        if weight is not None:
            if (weight == 0).any():
                values, weight = values[weight > 0], weight[weight > 0]
            weight = weight / weight.mean()
        if values.shape[1] == 0:
            raise InvalidInput(
                "rows have no features", got=values.shape, bound="at least 1 feature"
            )
        if len(values) < k:
            raise InvalidInput(
                "fewer rows than components",
                got=len(values),
                bound=f"at least {k}",
                remedy="lower n_components",
            )
        _check_distinct(values, k)
        added = _added_variance(reg_covar, values.shape[1])
        shift, scale = _standardisation(values, weight, added)
        if isotropic:
            scale = np.full_like(scale, np.sqrt(np.square(scale).mean()))
        if values.dtype == np.float32:
            # Numbers that float32 holds: its kernels then subtract and divide by these very ones.
            shift = shift.astype(np.float32).astype(np.float64)
            scale = 1 / (1 / scale).astype(np.float32).astype(np.float64)
        return cls(values, weight, shift, scale), added / np.square(scale)

    def __len__(self) -> int:
        return len(self.values)

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

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """`n` of the rows, drawn without replacement, with their weights, in their order."""
        index = np.sort(rng.choice(len(self), n, replace=False))
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.values[index], weight, self.shift, self.scale)

    def at(self, index: Any) -> Array:
        """The standardised rows at `index`."""
        rows: Array = (self.values[index].astype(np.float64) - self.shift) / self.scale
        return rows


def _added_variance(reg_covar: ArrayLike, d: int) -> Array:
    try:
        added = np.broadcast_to(np.asarray(reg_covar, dtype=np.float64), (d,))
    except (TypeError, ValueError):
        raise InvalidInput("reg_covar", got=reg_covar, bound=f"a number, or {d} numbers") from None
    if not (np.isfinite(added) & (added >= 0)).all():
        raise InvalidInput("reg_covar", got=reg_covar, bound="finite, 0 or more")
    return added


def _check_distinct(values: NDArray[Any], k: int) -> None:
    seen = values[:0]
    for first in range(0, len(values), CHUNK):
        # At most k rows are remembered, so repeated chunks stay cheap; most inputs end after one.
        seen = np.unique(np.concatenate([seen, values[first : first + CHUNK]]), axis=0)
        if len(seen) >= k:
            return
    raise InvalidInput(
        "fewer distinct rows than components",
        got=len(seen),
        bound=f"at least {k}",
        remedy="lower n_components or give more rows",
    )


def _standardisation(
    values: NDArray[Any], weight: Array | None, added: Array
) -> tuple[Array, Array]:
    minimum, maximum = values.min(axis=0), values.max(axis=0)
    _check_range(minimum.astype(np.float64), maximum.astype(np.float64), added)
    moments = Moments.of(values, weight)
    # A constant feature is known by its range: its computed variance may be off zero by rounding.
    variance = np.where(minimum == maximum, added, np.diagonal(moments.covariance))
    return moments.mean, np.sqrt(variance)


def _check_range(minimum: Array, maximum: Array, added: Array) -> None:
    with np.errstate(over="ignore"):
        spread = maximum - minimum
    for feature, (low, width) in enumerate(zip(minimum, spread, strict=True)):
        if width == 0 and added[feature] == 0:
            raise FitFailed(
                f"feature {feature} is constant, its Gaussian would have no width",
                got=float(low),
                bound="at least two different values",
                remedy="drop the feature or set reg_covar above 0",
            )
        if width != 0 and not _NARROWEST < width < _WIDEST:
            raise InvalidInput(
                f"the values of feature {feature} spread over a range whose square is no number",
                got=float(width),
                bound=f"between {_NARROWEST} and {_WIDEST}",
                remedy="rescale the feature, or take its logarithm",
            )
