"""Standardising: what a fit demands of the values of its rows, and their shift and scale."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, Missing, frozen_array
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.fitting.patterns import observed_moments
from gmm_core.fitting.threads import on_threads
from gmm_core.moments import combine

__all__ = [
    "added_variance",
    "check_distinct",
    "distinct",
    "standardisation",
    "widened",
    "within_of",
]

_CHUNK = 8_192
_Part = tuple[NDArray[Any], NDArray[Any], tuple[Any, Array, Array]]
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


def within_of(
    within: ArrayLike | None, values: NDArray[Any], missing: Missing | None
) -> Array | None:
    """(n,) variances of what each row stands for, as given with rows (n, d); raises `InvalidInput`."""
    if within is None:
        return None
    if values.shape[1] != 1 or missing == "marginalise":
        raise InvalidInput(
            "variances within rows", got=values.shape, bound="rows of one feature, none missing"
        )
    variances = frozen_array(within, "within", (len(values),))
    if len(variances) and variances.min() < 0:
        raise InvalidInput("within", got=float(variances.min()), bound="0 or more")
    return variances


def widened(scale: Array, within: Array, weight: Array | None) -> Array:
    """The scale (1,) of rows that have these variances within (n,), too."""
    wider: Array = np.sqrt(np.square(scale) + np.average(within, weights=weight))
    return wider


def distinct(values: NDArray[Any], k: int, fill: Array | None = None) -> int:
    """How many distinct rows there are, at most about k; NaN counts as `fill` (d,)."""
    seen, first = values[:0], 0
    while first < len(values):
        # A few at first: in most inputs the first k rows differ.
        chunk = values[first : first + min(_CHUNK, max(first, 2 * k))]
        first += len(chunk)
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
    if incomplete:  # as `min` and `max`, but NaN gives way to any number
        minimum, maximum = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
        _check_values(minimum)
        spread = _checked_range(minimum, maximum, added)
        mean, variance = observed_moments(values, weight)
    else:
        minimum, maximum, mean, variance = _extent(values, weight)
        spread = _checked_range(minimum, maximum, added)
    # A constant feature is known by its range: its computed variance may be off zero by rounding.
    deviation = np.sqrt(np.where(minimum == maximum, added, variance))
    least = _LEAST_SCALE[values.dtype] * np.where(minimum == maximum, 1, spread)
    return mean, np.maximum(deviation, least)


def _extent(
    values: NDArray[Any], weight: Array | None
) -> tuple[NDArray[Any], NDArray[Any], Array, Array]:
    """Least, largest, mean and variance (d,) of complete rows, in one pass.

    Turned, so that each feature is one piece of memory: reductions are then several times faster.
    """
    parts = [slice(first, first + _CHUNK) for first in range(0, len(values), _CHUNK)]
    found: list[_Part] = [None] * len(parts)  # type: ignore[list-item]

    def work(index: int) -> None:
        given = None if weight is None else weight[parts[index]]
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by its range
            found[index] = _of_part(values[parts[index]], given)

    on_threads(work, len(parts))
    least, largest, moments = zip(*found, strict=True)
    with np.errstate(over="ignore", invalid="ignore"):
        mass, mean, scatter = functools.reduce(lambda a, b: combine(*a, *b), moments)
        minimum, maximum = np.min(least, axis=0), np.max(largest, axis=0)
        return minimum, maximum, mean[:, 0], scatter[:, 0] / mass


def _of_part(values: NDArray[Any], weight: Array | None) -> _Part:
    turned = np.array(values.T, np.float64, order="C")
    least = turned.min(axis=1).astype(values.dtype)
    largest = turned.max(axis=1).astype(values.dtype)
    given = np.ones(turned.shape[1]) if weight is None else weight
    return least, largest, _centred(turned, given)


def _centred(turned: Array, weight: Array) -> tuple[Any, Array, Array]:
    """Moments of rows that stand side by side in `turned` (d, m), each feature's by itself."""
    mass = weight.sum()
    if mass == 0:
        return 0.0, np.zeros((len(turned), 1)), np.zeros((len(turned), 1))
    # About a value that is there, then about the mean of what is left: a common offset costs no digits.
    origin = turned[:, :1].copy()
    turned -= origin
    mean = (turned @ weight / mass)[:, None]
    turned -= mean
    return mass, origin + mean, (np.square(turned, out=turned) @ weight)[:, None]


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
