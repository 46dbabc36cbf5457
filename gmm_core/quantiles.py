"""Distribution function and quantiles of a mixture of one feature, accurate in both tails.

Quantiles are solved for in the logarithm of the tail that they lie in, between the smallest and the
largest quantile of the components: where every component has reached the probability, so has their
mixture. Newton's step is taken where it stays between the bounds and shrinks fast enough, else the
interval is halved (`rtsafe` of Press et al., Numerical Recipes, section 9.4), for all at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, as_numbers
from gmm_core.components import Components
from gmm_core.errors import InvalidInput
from gmm_core.extras import optional

__all__ = ["cdf", "ppf"]

_LOG_ROOT_TWO_PI = 0.5 * float(np.log(2 * np.pi))
_STEPS = 400  # halving alone brings any interval of floats down to its last bit
_EPS = float(np.finfo(np.float64).eps)


def cdf(mixture: Components, x: ArrayLike) -> Array:
    """Probability of a value at most `x`, of the shape of `x`.

    Sums Phi((x - mean) / sd) of the components, so it is as accurate far below as in the middle.
    Raises `InvalidInput` for more than one feature, text, or NaN; `MissingExtra` without scipy.
    """
    weights, means, deviations = _one_feature(mixture)
    values, special = _values(x, "x"), _special()
    total = np.zeros(values.shape)
    for weight, mean, sd in zip(weights, means, deviations, strict=True):
        total += weight * special.ndtr((values - mean) / sd)
    return np.minimum(total, 1.0)


def ppf(mixture: Components, q: ArrayLike) -> Array:
    """The value that a row is at most with probability `q`, of the shape of `q`.

    -inf for 0, inf for 1. Raises `InvalidInput` for more than one feature, or `q` outside [0, 1];
    `MissingExtra` without scipy.
    """
    weights, means, deviations = _one_feature(mixture)
    levels = _values(q, "q")
    if not ((levels >= 0) & (levels <= 1)).all():
        wrong = levels[(levels < 0) | (levels > 1)]
        raise InvalidInput("q is not a probability", got=float(wrong[0]), bound="0 to 1")
    result = np.where(levels <= 0.5, -np.inf, np.inf)
    lower = (levels > 0) & (levels <= 0.5)
    upper = (levels > 0.5) & (levels < 1)
    # Upper quantiles are those of the mirrored mixture: 1 - q loses nothing above one half.
    result[lower] = _lower(weights, means, deviations, levels[lower])
    result[upper] = -_lower(weights, -means, deviations, 1 - levels[upper])
    answer: Array = result[()]
    return answer


def _special() -> Any:
    return optional("scipy.special", "quantiles", "scipy")


def _one_feature(mixture: Components) -> tuple[Array, Array, Array]:
    if mixture.n_features != 1:
        raise InvalidInput(
            "distribution function and quantiles are of one feature",
            got=mixture.n_features,
            bound="1 feature",
            remedy="take a marginal first: mixture.marginal([0])",
        )
    weights: Array = mixture.weights / mixture.weights.sum()
    return weights, mixture.means[:, 0], mixture.standard_deviations()[:, 0]


def _values(values: ArrayLike, name: str) -> Array:
    array: Array = as_numbers(values, name).astype(np.float64)
    if np.isnan(array).any():
        raise InvalidInput(f"{name} holds NaN", got=float("nan"), bound="numbers")
    return array


def _lower(weights: Array, means: Array, deviations: Array, q: Array) -> Array:
    """Quantiles (m,) of probabilities `q` (m,) in (0, 1/2]."""
    # In units of the whole mixture, so that neither an offset nor a unit costs digits.
    shift = float(weights @ means)
    unit = float(np.sqrt(weights @ (np.square(deviations) + np.square(means - shift))))
    means, deviations = (means - shift) / unit, deviations / unit
    own = means + deviations * _special().ndtri(q)[:, None]
    low, high = own.min(axis=1), own.max(axis=1)
    solved = _solve(weights, means, deviations, np.log(q), low, high)
    quantiles: Array = shift + unit * solved
    return quantiles


def _solve(
    weights: Array, means: Array, deviations: Array, target: Array, low: Array, high: Array
) -> Array:
    """Where the log of the distribution function is `target` (m,), between `low` and `high`."""
    x = 0.5 * (low + high)
    before = high - low  # the step before: Newton must halve it to be allowed on
    active = np.flatnonzero(high > low)
    narrowest = deviations.min()
    for _ in range(_STEPS):
        if not active.size:
            break
        at = x[active]
        log_cdf, slope = _log_cdf(weights, means, deviations, at)
        excess = log_cdf - target[active]
        below = excess < 0
        low[active] = np.where(below, at, low[active])
        high[active] = np.where(below, high[active], at)
        bottom, top = low[active], high[active]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = at - excess / slope
        safe = (moved >= bottom) & (moved <= top) & (2 * np.abs(moved - at) <= before[active])
        moved = np.where(safe, moved, 0.5 * (bottom + top))
        met = np.abs(excess) <= 4 * _EPS * np.maximum(1, np.abs(target[active]))  # to rounding
        moved = np.where(met, at, moved)
        step = np.abs(moved - at)
        x[active], before[active] = moved, step
        fine = 2 * _EPS * np.maximum(np.abs(moved), narrowest)
        active = active[~met & (step > fine) & (top - bottom > fine)]
    return x


def _log_cdf(weights: Array, means: Array, deviations: Array, x: Array) -> tuple[Array, Array]:
    """Log of the distribution function at `x` (m,), and the derivative of that."""
    z = (x[:, None] - means) / deviations
    parts = np.log(weights) + _special().log_ndtr(z)
    top = parts.max(axis=1)
    log_cdf = top + np.log(np.exp(parts - top[:, None]).sum(axis=1))
    with np.errstate(over="ignore"):
        log_pdf = np.log(weights / deviations) - _LOG_ROOT_TWO_PI - 0.5 * np.square(z)
    slope = np.exp(log_pdf - log_cdf[:, None]).sum(axis=1)
    return log_cdf, slope
