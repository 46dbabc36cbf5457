"""Categorical features in EM: multinomials of each component beside its Gaussian.

p(x, c) = sum_j w_j N(x; mu_j, S_j) prod_f P_jf[c_f]: features are independent given the component.

So that no probability becomes 0, each row counts as a row of its own level by 1 - s and of every
level of the feature alike by s. The E-step takes the expected logarithm over these parts of a row, the M-step
their weights; so EM never lowers the sum over rows of log sum_j w_j N(x; mu_j, S_j)
prod_f exp E[log P_jf]. And the mixture's level shares are those of the rows, smoothed by a known amount:
(1 - s) share + s / m, whatever the components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.fitting.coded import CodedRows
from gmm_core.fitting.estep import Joint, Kernel, Parameters, Statistics, log_joint
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind, log_normalise
from gmm_core.mixed.levels import Codes, first_columns, level_logs

__all__ = ["NO_CATEGORIES", "Categories", "categorical", "level_weights"]


@dataclass(frozen=True)
class Categories:
    """The categorical features of a fit.

    Parameters
    ----------
    sizes : levels of each feature.
    smoothing : the part s of each row that is shared out among all levels, 0 to below 1.
    """

    sizes: tuple[int, ...]
    smoothing: float

    def expected(self, logs: Array) -> Array:
        """(k, m) what a row's level adds to the log joint, from logs of probabilities (k, m)."""
        means = [part.mean(axis=1, keepdims=True) for part in self._split(logs)]
        even = np.repeat(np.concatenate(means, axis=1), self.sizes, axis=1)
        result: Array = (1 - self.smoothing) * logs + self.smoothing * even
        return result

    def probabilities(self, levels: Array) -> Array:
        """(k, m) of the levels, from the weight of the rows (k, m) that have each, some above 0."""
        shares = [part / part.sum(axis=1, keepdims=True) for part in self._split(levels)]
        even = np.repeat(1 / np.array(self.sizes), self.sizes)
        result: Array = (1 - self.smoothing) * np.concatenate(shares, axis=1)
        return result + self.smoothing * even

    def maximised(
        self, parameters: Parameters, statistics: Statistics, empty: NDArray[np.intp]
    ) -> Parameters:
        """The M-step of the levels; components that are `empty` get those of all rows."""
        if statistics.levels is None:
            return parameters
        levels = statistics.levels.copy()
        levels[empty] = levels.sum(axis=0)
        return replace(parameters, levels=self.probabilities(levels))

    def _split(self, side_by_side: Array) -> list[Array]:
        return np.split(side_by_side, first_columns(self.sizes)[1:], axis=1)


NO_CATEGORIES = Categories((), 0.0)


def categorical(numeric: Kernel, categories: Categories) -> Kernel:
    """The kernel for `CodedRows`; `numeric` serves each combination of levels that has many rows.

    It is called once for each of these, with offsets of their own. Rows of the other combinations
    are served in numpy, a chunk times k at a time.
    """

    def kernel(rows: Rows, joint: Joint, kind: CovarianceKind) -> Statistics:
        table = categories.expected(cast(Array, joint.levels))
        plain = replace(joint, levels=None)
        combinations, rest = cast(CodedRows, rows).split
        k, d = joint.means.shape
        total = Statistics.nothing(k, d, kind)
        levels = np.zeros_like(table)
        for one in combinations:
            offsets = joint.offsets + table[:, one.columns].sum(axis=1)
            own = numeric(one.rows, replace(plain, offsets=offsets), kind)
            levels[:, one.columns] += own.weight[:, None]
            total += own
        for part, chunk, weight in rest.chunks():
            logs = log_joint(chunk, plain, kind) + level_logs(table, rest.codes[part])
            density, log_shares = log_normalise(logs)
            shares = np.exp(log_shares) * weight[:, None]
            levels += level_weights(shares, rest.codes[part], table.shape[1])
            total += replace(
                Statistics.of(chunk, shares, kind), log_likelihood=float(weight @ density)
            )
        return replace(total, levels=levels)

    return kernel


def level_weights(shares: Array, codes: Codes, m: int) -> Array:
    """(k, m) weight of each level, of rows shared out (n, k) that have the levels `codes` (n, q)."""
    k = shares.shape[1]
    place: Codes = codes[:, :, None] + m * np.arange(k)
    weight = np.broadcast_to(shares[:, None, :], place.shape)
    return np.bincount(place.ravel(), weight.ravel(), k * m).reshape(k, m).astype(np.float64)
