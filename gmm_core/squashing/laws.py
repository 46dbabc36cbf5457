"""Laws of a mixture fitted to a column: moments, bounds, and the distribution, from the cells alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.invariants import Law
from gmm_core.mixture import Mixture
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.distances import energy_distance, js_divergence, ks_distance
from gmm_core.squashing.fits import cell_log_likelihood

__all__ = ["column_laws"]

_MEAN, _VARIANCE = 1e-9, 1e-8
_EPS = float(np.finfo(np.float64).eps)


def column_laws(
    cells: Cells,
    mixture: Mixture,
    *,
    rows: float | None = None,
    added: ArrayLike = 0.0,
    shrunk: bool = False,
    ks: float = 0.01,
    js: float = 0.01,
    energy: float = 0.01,
    lost: float = 1e-5,
) -> list[Law]:
    """What must hold of a mixture of one feature and the rows that it was fitted to.

    Parameters
    ----------
    rows : how many there are, missing ones included; `None` where nobody counted them.
    added : variance that the fit added.
    shrunk : whether priors drew the fit away from the rows' moments, as variational Bayes' do: its
        mean and variance then only have to be near them, by 1 % of a deviation.
    ks, js, energy : largest distances allowed (`gmm_core.squashing.distances`).
    lost : largest part of the log-likelihood, nats per row, that the cells' width may cost.
    """
    moments = cells.moments
    variance = float(moments.covariance[0, 0])
    deviation = max(float(np.sqrt(variance)), float(np.finfo(np.float64).tiny))
    rounding = 64 * _EPS * abs(float(moments.mean[0])) / deviation
    own = float(mixture.covariance()[0, 0]) - float(np.asarray(added))
    outside = np.maximum(cells.minimum.min() - mixture.means, mixture.means - cells.maximum.max())
    near = (0.01, 0.02) if shrunk else (_MEAN + rounding, _VARIANCE + rounding)
    bound = 1e-9 + rounding
    laws = [
        _most("mean_preserved", "The mixture's mean equals the rows' (deviations).",
              abs(float(mixture.mean()[0] - moments.mean[0])) / deviation, near[0]),
        _most("variance_preserved", "The mixture's variance, less what the fit added, equals the "
              "rows' (relative).", abs(own - variance) / deviation**2, near[1]),
        _most("means_inside_range", "Every component's mean lies between the least and the largest "
              "value (deviations outside).", max(float(outside.max()) / deviation, 0.0), bound),
        _most("ks_distance", "The distribution functions of rows and mixture are nowhere farther "
              "apart.", ks_distance(cells, mixture), ks),
        _most("js_divergence", "Rows and mixture share out alike over bins (nats).",
              js_divergence(cells, mixture), js),
        _most("energy_distance", "The energy distance of rows and mixture (deviations).",
              energy_distance(cells, mixture), energy),
        _most("likelihood_lost", "Cells are narrow enough: what their width costs of the "
              "log-likelihood (nats per row).", cell_log_likelihood(cells, mixture)[1], lost),
    ]  # fmt: skip
    if rows is not None:
        says = "Every row is in a cell or counted as missing (rows that are neither, or twice)."
        laws.append(_most("no_row_lost", says, abs(cells.rows + cells.apart.total - rows), 0.0))
    return laws


def _most(name: str, says: str, got: float, upper: float) -> Law:
    return Law(name, says, got, upper=upper)
