"""Fits on cells: the mixture of a column's rows, from its cells, in milliseconds.

What is lost: rows of a cell share their responsibilities q, so the log-likelihood of the cells lies
below that of the rows by the mean of KL(q || r(x)) over the rows, r(x) being a row's own. Within a
cell log r moves by the differences of the components' slopes (mu - x) / s^2, so to second order

    lost = v / 2 * Var_q(slope),    and never more than (range over components of g)^2 / 8,

where g(x) is how far a component's log-density at x lies from its mean over the cell (Hoeffding's
lemma). Components that have a share in a row lie within some c deviations of it: with cells h wide
and the least deviation s that is at most (c h / s)^2 / 2. At the h = s / 400 that
`Grid.of_sample` aims at, that is 3e-5 for c = 3 where two components meet, and below 1e-6 on average. The
fitted mixture is nearer still: its own log-likelihood on the rows is off by the square of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.arrays import Array
from gmm_core.em import FitResult, fit
from gmm_core.errors import InvalidInput
from gmm_core.evaluation import in_chunks
from gmm_core.gaussian import log_normalise
from gmm_core.mixture import Mixture
from gmm_core.squashing.cells import Cells
from gmm_core.variational.fit import BayesianResult, fit_bayesian

__all__ = ["cell_log_likelihood", "fit_cells", "fit_cells_bayesian"]


def fit_cells(cells: Cells, n_components: int, **settings: Any) -> FitResult:
    """`gmm_core.fit` on the cells of a column; `settings` are its own.

    The mixture's mean and variance are those of the rows (plus the added variance), and its
    log-likelihood is a lower bound of theirs, by what `cell_log_likelihood` says. Raises as `fit`.

    >>> from gmm_core.squashing.grid import Grid
    >>> rows = Mixture([0.3, 0.7], [[-5.0], [5.0]], [1.0, 1.0], "spherical").sample(5_000, seed=1)
    >>> cells = Cells.of(rows, Grid.of_sample(rows))
    >>> sorted(fit_cells(cells, 2).mixture.weights.round(1).tolist())
    [0.3, 0.7]
    """
    return fit(_checked(cells), n_components, **_cells(cells), **settings)


def fit_cells_bayesian(cells: Cells, n_components: int, **settings: Any) -> BayesianResult:
    """`fit_bayesian` on the cells of a column; `settings` are its own. Raises as it does."""
    return fit_bayesian(_checked(cells), n_components, **_cells(cells), **settings)


def cell_log_likelihood(cells: Cells, mixture: Mixture) -> tuple[float, float]:
    """Mean nats per row: the cells' lower bound, and what the rows' own is above it, to second order.

    Raises `InvalidInput` for a mixture of other than one feature, or no rows.
    """
    _checked(cells)
    if mixture.n_features != 1:
        raise InvalidInput("features of the mixture", got=mixture.n_features, bound="1")
    means, variances = mixture.means[:, 0], np.square(mixture.standard_deviations()[:, 0])

    def both(part: Array) -> Array:
        mean, variance = part[:, :1], part[:, 1:]
        logs = mixture.log_joint(mean) - 0.5 * variance / variances
        bound, log_shares = log_normalise(logs)
        shares, slope = np.exp(log_shares), (means - mean) / variances
        away = slope - (shares * slope).sum(axis=1, keepdims=True)
        lost = 0.5 * variance[:, 0] * (shares * np.square(away)).sum(axis=1)
        return np.column_stack([bound, lost])

    per_cell = in_chunks(np.column_stack([cells.mean, cells.variance]), both)
    bound, lost = (cells.weight / cells.rows) @ per_cell
    return float(bound), float(lost)


def _cells(cells: Cells) -> dict[str, Any]:
    return {"sample_weight": cells.weight, "within": cells.variance}


def _checked(cells: Cells) -> Array:
    if not len(cells):
        raise InvalidInput(
            "no rows in any cell",
            got=cells.apart,
            bound="a finite value at least",
            remedy="look at the column: all of it is missing or infinite",
        )
    return cells.mean[:, None]
