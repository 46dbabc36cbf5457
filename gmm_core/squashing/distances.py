"""How far a mixture is from the rows that cells stand for, from the cells alone.

The distribution function of the rows is known exactly between cells. Within one it lies between its
values at both ends, so a distance is known up to the weight of the heaviest cell that has a width.
"""

from __future__ import annotations

import numpy as np

from gmm_core.arrays import Array
from gmm_core.drift.divergences import shares_divergence
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.squashing.cells import Cells

__all__ = ["energy_distance", "js_divergence", "ks_distance"]

_BINS = 64  # of the same weight in rows, more or less


def ks_distance(cells: Cells, mixture: Mixture) -> float:
    """Kolmogorov-Smirnov: the largest difference of the distribution functions, at the cells' ends.

    Never above that of the rows, and below it by less than half the weight of the heaviest cell that
    has a width. Raises `InvalidInput` for a mixture of several features, or no rows.

    >>> from gmm_core.squashing.grid import Grid
    >>> cells = Cells.of([0.0], Grid.scale_free())
    >>> ks_distance(cells, Mixture([1.0], [[0.0]], [1.0], "spherical"))
    0.5
    """
    below, upto = _steps(cells)
    under, over = _cdf(mixture, cells.minimum), _cdf(mixture, cells.maximum)
    return float(max(np.abs(under - below).max(), np.abs(over - upto).max()))


def js_divergence(cells: Cells, mixture: Mixture) -> float:
    """Jensen-Shannon divergence, nats (0 to log 2), over some 64 bins of like weight.

    Bins are runs of whole cells, so the rows' share of each is exact. It is a lower bound of that of
    the two distributions (data processing), and of n rows of the mixture itself about 63 / (8 n).
    Raises as `ks_distance`.
    """
    share, ends = _binned(cells)
    model = np.diff(np.concatenate([[0.0], _cdf(mixture, ends), [1.0]]))
    return shares_divergence(share, model)


def energy_distance(cells: Cells, mixture: Mixture) -> float:
    """Szekely's energy distance, 2 times the integral of (F - G)^2, in standard deviations of the rows.

    The integral is taken from the least to the largest value by the trapezoidal rule over the cells'
    ends; 0 for rows that are all equal. Raises as `ks_distance`. Szekely and Rizzo 2013, section 2.
    """
    below, upto = _steps(cells)
    places = np.stack([cells.minimum, cells.maximum], axis=1).ravel()
    squares = np.square(np.stack([below, upto], axis=1).ravel() - _cdf(mixture, places))
    deviation = float(np.sqrt(cells.moments.covariance[0, 0]))
    if deviation == 0:
        return 0.0
    return float(2.0 * np.trapezoid(squares, places) / deviation)


def _steps(cells: Cells) -> tuple[Array, Array]:
    """(m,) shares of the rows below each cell, and up to its end."""
    if not len(cells):
        raise InvalidInput("no rows in any cell", got=0, bound="1 at least")
    upto = np.cumsum(cells.weight) / cells.rows
    return np.concatenate([[0.0], upto[:-1]]), upto


def _binned(cells: Cells) -> tuple[Array, Array]:
    """Shares (b,) of runs of cells, and where the runs but the last end (b - 1,)."""
    _, upto = _steps(cells)
    last = np.unique(np.searchsorted(upto, np.arange(1, _BINS) / _BINS))
    last = last[last < len(cells) - 1]
    # Half way to the next cell: no row lies between.
    ends = 0.5 * (cells.maximum[last] + cells.minimum[last + 1])
    return np.diff(np.concatenate([[0.0], upto[last], [1.0]])), ends


def _cdf(mixture: Mixture, x: Array) -> Array:
    return mixture.cdf(x)
