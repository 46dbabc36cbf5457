"""Normal-Wishart: what is known of a mixture's parameters before and after the rows are seen.

Equations are those of Bishop 2006, section 10.2. There nu is the degrees of freedom, beta the mean
precision, W the Wishart's scale matrix. Here covariances (inverse of nu W, so that their inverse is
the expected precision) stand for W, and are stored as their covariance type says:

- "tied": one Wishart for all components, which learns from the k-th part of all rows.
- "diag", "spherical": W diagonal, or a multiple of the identity: the best of that form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gammaln

from gmm_core.arrays import Array, as_rows
from gmm_core.covariances.cholesky import whitener_diagonal
from gmm_core.fitting.estep import Joint, Statistics, log_joint
from gmm_core.gaussian import CovarianceKind
from gmm_core.mixture import Mixture
from gmm_core.variational.weight_priors import WeightPrior

__all__ = ["Posterior", "Prior", "entropy", "expected_joint"]

# Rows that an empty component seems to have: what it adds is nothing, but not exactly.
_TRACE = 10 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Posterior:
    """What is known of the parameters of k components after the rows.

    Parameters
    ----------
    kind : how covariances are stored.
    weight_prior, concentration : posterior of the weights.
    mean_precision : (k,) rows' worth of knowledge of each mean: its own precision is that many times
        the component's.
    means : (k, d)
    degrees_of_freedom : (k,) rows' worth of knowledge of each covariance; k times the same for "tied".
    covariances : inverse of the expected precisions.
    """

    kind: CovarianceKind
    weight_prior: WeightPrior
    concentration: Array
    mean_precision: Array
    means: Array
    degrees_of_freedom: Array
    covariances: Array

    @cached_property
    def whiteners(self) -> Array:
        """(k, d, d) or (k, d); raises `InvalidInput` when a covariance is not positive definite."""
        return self.kind.whiteners(self.covariances, *self.means.shape)

    def joint(self) -> Joint:
        """What an E-step takes."""
        return expected_joint(
            self.weight_prior.expected_log(self.concentration),
            self.mean_precision,
            self.degrees_of_freedom,
            self.means,
            self.whiteners,
        )

    def log_joint(self, X: ArrayLike) -> Array:
        """(n, k) expected log of weight times density of rows (n, d), in the posterior's units."""
        rows: NDArray[Any] = as_rows(X, self.means.shape[1])
        return log_joint(rows.astype(np.float64, copy=False), self.joint(), self.kind)

    def log_norm(self) -> float:
        """Log of what the density of the posterior is divided by, but for powers of pi.

        Once the posterior fits the responsibilities, this and their entropy are all that remains of
        the lower bound (equations 10.70 to 10.77).
        """
        d, freedom = self.means.shape[1], self.degrees_of_freedom
        wishart = freedom * (_half_log_det(self.whiteners, freedom) + 0.5 * d * np.log(2))
        wishart += _over_dimensions(gammaln, freedom, d)
        weights = self.weight_prior.log_norm(self.concentration)
        return weights + float((wishart - 0.5 * d * np.log(self.mean_precision)).sum())

    def mixture(self) -> Mixture:
        """Expected weights, means, and inverses of the expected precisions."""
        weights = self.weight_prior.expected(self.concentration)
        return Mixture(weights, self.means, self.covariances, self.kind.name)

    def at(self, means: Array, covariances: Array) -> Posterior:
        """The same posterior with means and covariances in other units."""
        return replace(self, means=means, covariances=covariances)


@dataclass(frozen=True)
class Prior:
    """What is known of the parameters of every component before any row.

    Parameters
    ----------
    weights : prior of the weights.
    mean_precision : rows' worth of knowledge of the mean.
    mean : (d,)
    degrees_of_freedom : rows' worth of knowledge of the covariance, above d - 1.
    covariance : (d, d), or (d,) variances: the inverse of W.
    """

    weights: WeightPrior
    mean_precision: float
    mean: Array
    degrees_of_freedom: float
    covariance: Array

    def posterior(self, statistics: Statistics, kind: CovarianceKind, added: Array) -> Posterior:
        """What the rows add (equations 10.58 to 10.63), each blurred by `added` (d,) variance."""
        rows = statistics.weight + _TRACE
        mean_precision = self.mean_precision + rows
        away = statistics.mean - self.mean
        scatter = statistics.scatter + self.covariance
        pull = (rows * self.mean_precision / mean_precision)[:, None]
        if scatter.ndim == 3:
            scatter += pull[:, :, None] * away[:, :, None] * away[:, None, :]
            scatter += (rows[:, None] * added)[:, :, None] * np.eye(len(added))
        else:
            scatter += pull * np.square(away) + rows[:, None] * added
        freedom = self.degrees_of_freedom + rows
        return Posterior(
            kind,
            self.weights,
            self.weights.concentration(rows),
            mean_precision,
            self.mean + (rows / mean_precision)[:, None] * away,
            np.full(len(rows), freedom.mean()) if kind.name == "tied" else freedom,
            kind.from_scatter(scatter, freedom),
        )

    def moved(self, shift: Array, scale: Array) -> Prior:
        """The prior after feature i is multiplied by `scale[i]`, then raised by `shift[i]`."""
        factor = np.outer(scale, scale) if self.covariance.ndim == 2 else np.square(scale)
        return replace(self, mean=self.mean * scale + shift, covariance=self.covariance * factor)


def expected_joint(
    log_weights: Array, mean_precision: Array, freedom: Array, means: Array, whiteners: Array
) -> Joint:
    """Expected log of weight times density, as an E-step takes it (equations 10.46, 10.64, 10.65).

    Parameters
    ----------
    log_weights : (k,) expected logs; the others as in `Posterior`.
    """
    d = means.shape[1]
    spread = _over_dimensions(digamma, freedom, d) - d / mean_precision - d * np.log(np.pi)
    return Joint(log_weights + _half_log_det(whiteners, freedom) + 0.5 * spread, means, whiteners)


def entropy(statistics: Statistics, joint: Joint, kind: CovarianceKind) -> float:
    """Entropy of the responsibilities (nats, over all rows) that `statistics` were made with.

    The log of a responsibility is the log joint less the row's normaliser. The sum over rows of
    responsibility times log joint needs no rows, only their moments (equation 10.71).
    """
    white, scatter = joint.whiteners, statistics.scatter
    if scatter.ndim == 3:
        squared = ((white @ scatter) * white).sum(axis=(1, 2))
    else:
        squared = (np.square(white) * scatter).sum(axis=1)
    squared = squared + statistics.weight * kind.squared_length(
        statistics.mean - joint.means, white
    )
    return statistics.log_likelihood - float(
        (statistics.weight * joint.offsets - 0.5 * squared).sum()
    )


def _half_log_det(whiteners: Array, freedom: Array) -> Array:
    """(k,) half the log-determinant of each W."""
    diagonal = whitener_diagonal(whiteners)
    half: Array = (np.log(diagonal) - 0.5 * np.log(freedom)[:, None]).sum(axis=1)
    return half


def _over_dimensions(function: Any, freedom: Array, d: int) -> Array:
    """(k,) sum over i = 0 .. d - 1 of the function of (nu - i) / 2."""
    total: Array = function(0.5 * (freedom[:, None] - np.arange(d))).sum(axis=1)
    return total
