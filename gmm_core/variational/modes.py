"""Modes of a column: a variational mixture of at most some modes, fitted to cells of its values.

The values are sorted and cut into some thousand cells, which keep weight, mean and variance; the fit
runs on these, so it takes some hundredths of a second however many values there are. Components that end
with less than the least weight are left out, and the others share their weight (Xu et al. 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, as_numbers, as_weights
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.normalising.modes import Modes
from gmm_core.settings import check_settings
from gmm_core.variational.fit import fit_bayesian

__all__ = ["fit_modes", "modes_of_cells"]

_CELLS = 2_048
_CONCENTRATION = 1e-3  # as Xu et al. have it: few modes rather than many
_NARROWEST = 1e-3  # deviation that a mode cannot fall below, of the deviation of the bulk
_TAIL = 0.005  # share of the weight on either side that does not count as the bulk
_FENCE = 30.0  # widths of the bulk, beyond which values that few rows have are no part of the fit
_GAIN = 1e-5  # nats per row: fits end when an iteration brings less
_FLAT = 1e-6  # deviation of a column of one value, of that value's size


def fit_modes(
    x: ArrayLike,
    max_modes: int = 10,
    *,
    least_weight: float = 0.005,
    sample_weight: ArrayLike | None = None,
    max_iter: int = 200,
    seed: int = 0,
) -> Modes:
    """The modes of the values (n,) of a column; NaN is a missing value and does not count.

    Parameters
    ----------
    max_modes : at most so many, and no more than there are different values.
    least_weight : below 1 / max_modes; modes that have less are left out.
    sample_weight : (n,) 0 or more.
    max_iter, seed : iterations at most; the same seed and values, in any order, give the same modes.

    Raises
    ------
    InvalidInput : no values, infinite ones, or wrong settings.

    >>> rng = np.random.default_rng(0)
    >>> modes = fit_modes(np.append(rng.normal(0, 1, 600), rng.normal(50, 2, 400)), 4)
    >>> sorted({int(round(mean / 50)) * 50 for mean in modes.means.tolist()})
    [0, 50]
    """
    values: Array = as_numbers(x, "values of a column").astype(np.float64).ravel()
    weight = as_weights(sample_weight, len(values))
    there = ~np.isnan(values) if weight is None else ~np.isnan(values) & (weight > 0)
    values = values[there]
    if not len(values) or np.isinf(values).any():
        raise InvalidInput(
            "a column whose modes are to be fitted",
            got="infinite values" if len(values) else "no values",
            bound="finite numbers, at least one",
        )
    cells = _squeezed(values, np.ones(len(values)) if weight is None else weight[there])
    settings = {"least_weight": least_weight, "max_iter": max_iter, "seed": seed}
    return modes_of_cells(*cells, max_modes, **settings)  # type: ignore[arg-type]


def modes_of_cells(
    mean: ArrayLike,
    weight: ArrayLike,
    variance: ArrayLike,
    max_modes: int = 10,
    *,
    least_weight: float = 0.005,
    max_iter: int = 200,
    seed: int = 0,
) -> Modes:
    """The modes of a column known by the mean, weight and variance (m,) of cells, means increasing.

    Other arguments, and what is raised, are those of `fit_modes`.
    """
    check_settings({"n_components": max_modes, "seed": seed, "max_iter": max_iter})
    if not 0 <= least_weight < 1 / max_modes:
        raise InvalidInput("least_weight", got=least_weight, bound=f"0 to below {1 / max_modes:g}")
    means, weights, variances = (np.asarray(part, np.float64) for part in (mean, weight, variance))
    bulk, narrowest = _bulk(means, weights, variances)
    means, weights, variances = means[bulk], weights[bulk], variances[bulk]
    k = min(max_modes, len(np.unique(means)))
    if k == 1:
        middle = float(np.average(means, weights=weights))
        spread = np.average(variances + np.square(means - middle), weights=weights)
        whole = np.array([spread + narrowest**2])
        return Modes(Mixture(np.ones(1), np.array([[middle]]), whole, "spherical"))
    mixture = fit_bayesian(
        means[:, None],
        k,
        covariance_type="spherical",
        weight_concentration_prior=_CONCENTRATION,
        reg_covar=narrowest**2,
        tol=_GAIN * float(weights.sum()),
        max_iter=max_iter,
        seed=seed,
        sample_weight=weights,
        within=variances,
        kernel="compiled",
    ).mixture
    kept = np.flatnonzero(mixture.weights >= least_weight)
    order = kept[np.argsort(mixture.means[kept, 0], kind="stable")]
    return Modes(mixture.picked(order.tolist()))


def _bulk(means: Array, weights: Array, variances: Array) -> tuple[slice, float]:
    """The cells that a fit looks at, and the least deviation of a mode.

    One value a million times as far out as all others would else make modes of all of them.
    """
    upto = np.cumsum(weights) / weights.sum()
    low, left, right, high = (
        float(means[min(int(np.searchsorted(upto, q)), len(means) - 1)])
        for q in (_TAIL, 0.1587, 0.8413, 1 - _TAIL)
    )
    wide = _FENCE * (high - low)
    first = int(np.searchsorted(means, low - wide))
    last = int(np.searchsorted(means, high + wide, side="right"))
    middle = np.average(means[first:last], weights=weights[first:last])
    part = variances[first:last] + np.square(means[first:last] - middle)
    whole = float(np.sqrt(np.average(part, weights=weights[first:last])))
    deviation = (right - left) / 2 or whole
    flat = _FLAT * max(abs(float(middle)), _FLAT)
    return slice(first, last), max(_NARROWEST * deviation, flat * 1e-3 if deviation else flat)


def _squeezed(values: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Mean, weight and variance (m,) of cells that hold few rows and are narrow, in ascending order."""
    order = None if (weights == weights[0]).all() else np.argsort(values, kind="stable")
    x = np.sort(values) if order is None else values[order]
    w = weights if order is None else weights[order]
    n = len(x)
    ranks = np.linspace(0, n, _CELLS + 1)[:-1].astype(np.int64)
    low, high = x[int(_TAIL * n)], x[min(int((1 - _TAIL) * n), n - 1)]
    lines = np.searchsorted(x, np.linspace(low, high, _CELLS // 2))
    few = np.append(np.arange(min(n, 64)), np.arange(max(n - 64, 0), n))  # far out, row by row
    first = np.unique(np.concatenate([[0], ranks, lines, few]))
    # A cell begins where its first value does: equal values are not parted.
    first = np.unique(np.searchsorted(x, x[first[first < n]]))
    total = np.add.reduceat(w, first)
    sizes = np.diff(np.append(first, n))
    away = x - np.repeat(x[first], sizes)
    shift = np.add.reduceat(w * away, first) / total
    square = np.add.reduceat(w * np.square(away - np.repeat(shift, sizes)), first) / total
    return x[first] + shift, total, square
