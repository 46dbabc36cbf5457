"""Units: those in which the pooled mixture has mean 0 and covariance I ("diag": variances 1).

Whatever the units and offsets of the rows, numbers are about 1 in them, and a second moment less the
square of a mean costs few digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gmm_core.arrays import Array
from gmm_core.covariances.kind import CovarianceType
from gmm_core.mixed.levels import tables_of
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.mixture import Mixture
from gmm_core.refinement.parts import Model

__all__ = ["Units"]


@dataclass(frozen=True)
class Units:
    """The units in which a mixture has mean 0 and covariance I, or variances 1 ("diag").

    Parameters
    ----------
    origin : (d,)
    root : (d, d) lower triangular with covariance root root', or (d,) deviations.
    """

    origin: Array
    root: Array

    @classmethod
    def of(cls, given: AnyMixture) -> Units:
        """Those of a "full" or "diag" mixture; categorical features have none."""
        mixture = numeric_part(given)
        if mixture.covariance_type == "diag":
            return cls(mixture.mean(), np.sqrt(np.diagonal(mixture.covariance())))
        covariance = mixture.covariance()
        deviations = np.sqrt(np.diagonal(covariance))
        correlations = covariance / np.outer(deviations, deviations)
        return cls(mixture.mean(), deviations[:, None] * np.linalg.cholesky(correlations))

    @cached_property
    def inverse(self) -> Array:
        """Of `root`."""
        if self.root.ndim == 1:
            return 1 / self.root
        deviations = np.abs(self.root).max(axis=1)
        lower = np.linalg.inv(self.root / deviations[:, None])
        inverse: Array = np.tril(lower) / deviations[None, :]
        return inverse

    def into(self, given: AnyMixture) -> Model:
        """The mixture in these units."""
        model = Model.of(given)
        means, covariances = _mapped(self.inverse, model.means - self.origin, model.covariances)
        return replace(model, means=means, covariances=covariances)

    def placed(self, rows: Array, variances: Array) -> tuple[Array, Array]:
        """Rows (n, d) in these units, and covariances of variances (b, d): (b, d, d) or (b, d)."""
        if self.root.ndim == 1:
            return _mapped(self.inverse, rows - self.origin, variances)
        return _mapped(
            self.inverse, rows - self.origin, variances[:, :, None] * np.eye(rows.shape[1])
        )

    def back(self, model: Model) -> AnyMixture:
        """A model in the mixture's own units again."""
        means, covariances = _mapped(self.root, model.means, model.covariances)
        kind: CovarianceType = "full" if model.full else "diag"
        numeric = Mixture(model.weights, means + self.origin, covariances, kind)
        if model.levels is None:
            return numeric
        return MixedMixture(numeric, tables_of(model.levels, model.sizes))


def _mapped(factor: Array, means: Array, covariances: Array) -> tuple[Array, Array]:
    """Means and covariances of what a linear map makes of Gaussians; `factor` (d,) scales features."""
    if factor.ndim == 1:
        return means * factor, covariances * np.square(factor)
    moved = factor @ covariances @ factor.T
    return means @ factor.T, 0.5 * (moved + moved.transpose(0, 2, 1))
