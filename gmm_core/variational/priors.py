"""Priors as a caller gives them, in his units, with what the rows say where he gives none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.fitting.estep import Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind
from gmm_core.settings import check_settings
from gmm_core.variational.normal_wishart import Prior
from gmm_core.variational.weight_priors import WeightPriorType, weight_prior

__all__ = ["PriorSettings"]

_SYMMETRY_SLACK = 1e-9


@dataclass(frozen=True)
class PriorSettings:
    """The priors of `fit_bayesian`; `None` stands for the default said there.

    Raises `InvalidInput` for a number out of its range; `prior` checks what depends on the rows.
    """

    concentration_type: WeightPriorType
    concentration: float | None
    mean_precision: float | None
    mean: ArrayLike | None
    degrees_of_freedom: float | None
    covariance: ArrayLike | None

    def __post_init__(self) -> None:
        check_settings(
            {
                "weight_concentration_prior_type": self.concentration_type,
                "weight_concentration_prior": self.concentration,
                "mean_precision_prior": self.mean_precision,
                "degrees_of_freedom_prior": self.degrees_of_freedom,
            }
        )

    def check(self, kind: CovarianceKind, d: int) -> None:
        """Raises `InvalidInput` for a prior that does not fit d features."""
        freedom = self.degrees_of_freedom
        if freedom is not None and not d - 1 < freedom:
            raise InvalidInput(
                "degrees_of_freedom_prior",
                got=freedom,
                bound=f"above {d - 1}, one less than the features",
            )
        if self.mean is not None:
            frozen_array(self.mean, "mean_prior", (d,))
        if self.covariance is not None:
            given = frozen_array(self.covariance, "covariance_prior", _given_shape(kind, d))
            _check_covariance(given.reshape(kind.shape(1, d)), kind, d)

    def prior(self, rows: Rows, kind: CovarianceKind, k: int, total: Statistics) -> Prior:
        """The prior in standardised space; `total` are statistics of one component with all rows.

        Raises `InvalidInput` as `check`, and for rows of total weight 1 or less when they are to give
        the covariance.
        """
        d = rows.n_features
        self.check(kind, d)
        mean_precision = 1.0 if self.mean_precision is None else self.mean_precision
        freedom = d if self.degrees_of_freedom is None else self.degrees_of_freedom
        return Prior(
            weight_prior(
                self.concentration_type, 1 / k if self.concentration is None else self.concentration
            ),
            float(mean_precision),
            self._mean(rows, total),
            float(freedom),
            self._covariance(rows, kind, total),
        )

    def _mean(self, rows: Rows, total: Statistics) -> Array:
        if self.mean is None:
            own: Array = total.mean[0]
            return own
        mean: Array = (np.asarray(self.mean, dtype=np.float64) - rows.shift) / rows.scale
        return mean

    def _covariance(self, rows: Rows, kind: CovarianceKind, total: Statistics) -> Array:
        """(d, d), or (d,) variances."""
        if self.covariance is None:
            return _covariance_of(kind, total)
        given = np.asarray(self.covariance, dtype=np.float64)
        full = np.broadcast_to(given, total.scatter.shape[1:])
        factor = np.outer(rows.scale, rows.scale) if full.ndim == 2 else np.square(rows.scale)
        return full / factor


def _covariance_of(kind: CovarianceKind, total: Statistics) -> Array:
    """Covariance of the rows, in the form of the kind, as many rows less one as they weigh."""
    freedom = float(total.weight[0]) - 1
    if not freedom > 0:
        raise InvalidInput(
            "the rows weigh too little to say what covariance to expect",
            got=freedom + 1,
            bound="a total weight above 1",
            remedy="give covariance_prior, or weights that count rows",
        )
    d = total.mean.shape[1]
    stored = kind.from_scatter(total.scatter, np.array([freedom]))
    own = stored.reshape(kind.shape(1, d))
    covariance: Array = (kind.full if total.scatter.ndim == 3 else kind.variances)(own, 1, d)[0]
    return covariance


def _given_shape(kind: CovarianceKind, d: int) -> tuple[int, ...]:
    """(d, d) for "full" and "tied", (d,) for "diag", () for "spherical"."""
    return (d, d) if kind.scatter_type == "full" else kind.shape(1, d)[1:]


def _check_covariance(covariance: Array, kind: CovarianceKind, d: int) -> None:
    if kind.asymmetry(covariance) > _SYMMETRY_SLACK:
        raise InvalidInput(
            "covariance_prior is not symmetric: the largest relative difference from its transpose",
            got=kind.asymmetry(covariance),
            bound=f"at most {_SYMMETRY_SLACK}",
            remedy="take the mean of it and its transpose",
        )
    try:
        kind.whiteners(covariance, 1, d)
    except InvalidInput as error:
        raise InvalidInput(
            f"covariance_prior is not positive definite: {error.problem}",
            got=error.got,
            bound=error.bound,
        ) from None
