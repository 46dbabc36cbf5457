"""Rows that stand for several: E-steps over cells of one feature that know the variance within them.

All rows of a cell have one set of responsibilities, the best for all of them together. Then EM and
variational Bayes see a cell by its expected log-density: with mean m and variance v of the cell,

    E log N(x; mu, s^2) = log N(m; mu, s^2) - v / (2 s^2),

which is what a second feature of value sqrt(v) and mean 0 adds, as wide in every component as the
first. So any kernel for two features does it, the compiled one as well. M-steps are exact: the
moments of a cell are those of its rows. The log-likelihood is a lower bound that no step lowers
(Neal and Hinton 1998, section 2, with responsibilities tied within a cell; Verbeek, Nunnink and
Vlassis 2006, section 3); `gmm_core.squashing.fits` says how far below it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gmm_core.fitting.estep import Joint, Kernel, Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind, kind_of

__all__ = ["knowing_within"]

_DIAG = kind_of("diag")


def knowing_within(kernel: Kernel, given: Rows) -> Kernel:
    """`kernel` for rows of one feature with variances within them; itself where these have none."""
    if given.within is None:
        return kernel

    def run(rows: Rows, joint: Joint, kind: CovarianceKind) -> Statistics:
        k = len(joint.means)
        means = np.column_stack([joint.means[:, 0], np.zeros(k)])
        whiteners = np.repeat(joint.whiteners.reshape(k, 1), 2, axis=1)
        wide = replace(joint, means=means, whiteners=whiteners)
        found = kernel(rows.stretched, wide, _DIAG)
        scatter = found.scatter.sum(axis=1) + found.weight * np.square(found.mean[:, 1])
        shape = kind.scatter_shape(k, 1)
        return replace(found, mean=found.mean[:, :1], scatter=scatter.reshape(shape))

    return run
