"""Standardising: what a fit demands of the values of its rows, and their shift and scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.fitting.patterns import observed_moments
from gmm_core.moments import Moments

__all__ = ["added_variance", "check_distinct", "distinct", "standardisation"]

_CHUNK = 8_192
# Ranges of values whose squares, and whose reciprocals' squares, are numbers.
_RANGES = {np.dtype(np.float64): (1e-140, 1e140), np.dtype(np.float32): (1e-20, 1e37)}
# Of the range, the least scale: weights of very different size may leave next to no deviation, in
# units of which the other rows were no numbers. Of a constant, as much of 1.
_LEAST_SCALE = {np.dtype(np.float64): 1e-100, np.dtype(np.float32): 1e-15}


def added_variance(reg_covar: ArrayLike, d: int) -> Array:
    """(d,) variances that every M-step adds, in the features' units; raises `InvalidInput`."""
    try:
        added = np.broadcast_to(np.asarray(reg_covar, dtype=np.float64), (d,))
    except (TypeError, ValueError):
        raise InvalidInput("reg_covar", got=reg_covar, bound=f"a number, or {d} numbers") from None
    if not (np.isfinite(added) & (added >= 0)).all():
        raise InvalidInput("reg_covar", got=reg_covar, bound="finite, 0 or more")
    return added


def distinct(values: NDArray[Any], k: int, fill: Array | None = None) -> int:
    """How many distinct rows there are, at most about k; NaN counts as `fill` (d,)."""
    seen = values[:0]
    for first in range(0, len(values), _CHUNK):
        chunk = values[first : first + _CHUNK]
        if fill is not None:
            chunk = np.where(np.isnan(chunk), fill, chunk)
        # At most k rows are remembered, so repeated chunks stay cheap; most inputs end after one.
        seen = np.unique(np.concatenate([seen, chunk]), axis=0)
        if len(seen) >= k:
            break
    return len(seen)


def check_distinct(values: NDArray[Any], k: int, fill: Array | None = None) -> None:
    """Raises `InvalidInput` when fewer than k rows differ."""
    found = distinct(values, k, fill)
    if found < k:
        raise InvalidInput(
            "fewer distinct rows than components",
            got=found,
            bound=f"at least {k}",
            remedy="lower n_components or give more rows",
        )


def standardisation(
    values: NDArray[Any], weight: Array | None, added: Array, incomplete: bool
) -> tuple[Array, Array]:
    """Shift and scale (d,): mean and deviation of the values that are there.

    Raises
    ------
    InvalidInput : a feature without any value, or whose spread squared is no number.
    FitFailed : a constant feature to which no variance is added.
    """
    # As `min` and `max`, but NaN gives way to any number.
    minimum, maximum = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    _check_values(minimum)
    spread = _checked_range(minimum, maximum, added)
    if incomplete:
        mean, variance = observed_moments(values, weight)
    else:
        moments = Moments.of_checked(values, weight)
        mean, variance = moments.mean, np.diagonal(moments.covariance)
    # A constant feature is known by its range: its computed variance may be off zero by rounding.
    deviation = np.sqrt(np.where(minimum == maximum, added, variance))
    least = _LEAST_SCALE[values.dtype] * np.where(minimum == maximum, 1, spread)
    return mean, np.maximum(deviation, least)


def _check_values(minimum: NDArray[Any]) -> None:
    empty = np.flatnonzero(np.isnan(minimum))
    if empty.size:
        raise InvalidInput(
            f"feature {empty[0]} is missing in every row",
            got=empty.tolist(),
            bound="a value in at least one row",
            remedy="drop the feature",
        )


def _checked_range(minimum: NDArray[Any], maximum: NDArray[Any], added: Array) -> Array:
    with np.errstate(over="ignore"):
        spread: Array = maximum.astype(np.float64) - minimum.astype(np.float64)
    narrowest, widest = _RANGES[minimum.dtype]
    for feature, (low, width) in enumerate(zip(minimum, spread, strict=True)):
        if width == 0 and added[feature] == 0:
            raise FitFailed(
                f"feature {feature} is constant, its Gaussian would have no width",
                got=float(low),
                bound="at least two different values",
                remedy="drop the feature or set reg_covar above 0",
            )
        if width != 0 and not narrowest < width < widest:
            raise InvalidInput(
                f"the values of feature {feature} spread over a range whose square is no number",
                got=float(width),
                bound=f"between {narrowest} and {widest}",
                remedy="rescale the feature, or take its logarithm",
            )
    return spread
