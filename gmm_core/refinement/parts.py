"""Parts: weighted Gaussians, or points, as data; and the units that refinement computes in.

Everything an E- or M-step needs of a part is its weight, mean and second moments: linear features of
it. So a step is a matrix product with the features of all parts, whatever their number.

The units are those in which the pooled mixture has mean 0 and covariance I ("diag": variances 1):
whatever the units and offsets of the rows, numbers here are about 1, and a second moment less the
square of a mean costs few digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture

__all__ = ["Model", "Parts", "Units"]


_FLAT = "covariances of a refined mixture"


@cache
def _pairs(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """The pairs i <= j of d features, and what the product of two counts in a quadratic form / -2."""
    first, second = np.triu_indices(d)
    return first, second, np.where(first == second, -0.5, -1.0)


@dataclass(frozen=True)
class Model:
    """A mixture as refinement computes with it: unchecked arrays, covariances (k, d, d) or (k, d)."""

    weights: Array
    means: Array
    covariances: Array

    @property
    def full(self) -> bool:
        """Whether covariances are matrices, not variances alone."""
        return self.covariances.ndim == 3

    @cached_property
    def natural(self) -> Array:
        """(k, q) coefficients of the log-density in the features of `Parts`, without the weights.

        Raises `InvalidInput` when a covariance is not positive definite.
        """
        d = self.means.shape[1]
        if self.full:
            try:
                lower = np.linalg.cholesky(self.covariances)
                precisions = np.linalg.inv(self.covariances)
            except np.linalg.LinAlgError:
                raise InvalidInput(_FLAT, got="none", bound="all positive definite") from None
            diagonal = 1 / np.diagonal(lower, axis1=1, axis2=2)
            linear = np.matmul(precisions, self.means[:, :, None])[:, :, 0]
            first, second, factor = _pairs(d)
            quadratic = factor * precisions[:, first, second]
        else:
            if not self.covariances.min() > 0:
                raise InvalidInput(_FLAT, got=float(self.covariances.min()), bound="above 0")
            precisions = 1 / self.covariances
            diagonal = np.sqrt(precisions)
            linear, quadratic = precisions * self.means, -0.5 * precisions
        constant = np.log(diagonal).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
        constant -= 0.5 * (linear * self.means).sum(axis=1)
        return np.concatenate([constant[:, None], linear, quadratic], axis=1)


@dataclass(frozen=True)
class Parts:
    """Weighted Gaussians as data.

    Parameters
    ----------
    weights : (n,) above 0, sum 1.
    means : (n, d)
    covariances : (n, d, d), or (n, d) for variances alone; `None` for points, which have none.
    full : whether models of them have matrices as covariances.
    """

    weights: Array
    means: Array
    covariances: Array | None
    full: bool = True

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def features(self) -> Array:
        """(q, n): 1, the mean and the second moments about the origin, each of them once."""
        n, d = self.means.shape
        features = np.empty((1 + d + (len(_pairs(d)[0]) if self.full else d), n))
        features[0] = 1.0
        means, seconds = features[1 : 1 + d], features[1 + d :]
        means[:] = self.means.T
        if self.full:  # pair after pair in the order of `_pairs`: what has i first is one piece
            at = 0
            for i in range(d):
                np.multiply(means[i], means[i:], out=seconds[at : at + d - i])
                at += d - i
        else:
            np.square(means, out=seconds)
        if self.covariances is not None:
            seconds += _packed(self.covariances, self.full).T
        return features

    def some(self, which: NDArray[np.bool_]) -> Parts:
        """Those parts alone, with weights that add up to 1."""
        weights = self.weights[which]
        covariances = None if self.covariances is None else self.covariances[which]
        return Parts(weights / weights.sum(), self.means[which], covariances, self.full)

    def expected_log_density(self, model: Model) -> Array:
        """(k, n) mean over each part of each component's log-density, in nats."""
        expected: Array = model.natural @ self.features
        return expected

    def log_density(self, model: Model) -> Array:
        """(n,) log of the sum over components of weight times exp(expected log-density), in nats."""
        joint = self.expected_log_density(model) + np.log(model.weights)[:, None]
        top = joint.max(axis=0)
        density: Array = top + np.log(np.exp(joint - top).sum(axis=0))
        return density

    def grouped(self, shares: Array) -> Model:
        """The M-step: every component becomes the exact merge of its shares (k, n) of the parts.

        `shares` add up to the parts' weights, so that the model has the parts' mean and covariance.
        """
        d = self.means.shape[1]
        sums = shares @ self.features.T
        weights = sums[:, 0]
        moments = sums[:, 1:] / weights[:, None]
        means, seconds = moments[:, :d], moments[:, d:]
        if not self.full:
            return Model(weights / weights.sum(), means, seconds - np.square(means))
        first, second, _ = _pairs(d)
        covariances = np.empty((len(weights), d, d))
        covariances[:, first, second] = seconds
        covariances[:, second, first] = seconds
        covariances -= means[:, :, None] * means[:, None, :]
        return Model(weights / weights.sum(), means, covariances)


def _packed(covariances: Array, full: bool) -> Array:
    if not full:
        return covariances
    first, second, _ = _pairs(covariances.shape[-1])
    packed: Array = covariances[:, first, second]
    return packed


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
    def of(cls, mixture: Mixture) -> Units:
        """Those of a "full" or "diag" mixture."""
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

    def into(self, mixture: Mixture) -> Model:
        """The mixture in these units."""
        return Model(
            mixture.weights,
            *_mapped(self.inverse, mixture.means - self.origin, mixture.covariances),
        )

    def placed(self, rows: Array, variances: Array) -> tuple[Array, Array]:
        """Rows (n, d) in these units, and covariances of variances (b, d): (b, d, d) or (b, d)."""
        if self.root.ndim == 1:
            return _mapped(self.inverse, rows - self.origin, variances)
        return _mapped(
            self.inverse, rows - self.origin, variances[:, :, None] * np.eye(rows.shape[1])
        )

    def back(self, model: Model) -> Mixture:
        """A model in the mixture's own units again."""
        means, covariances = _mapped(self.root, model.means, model.covariances)
        kind = "full" if model.full else "diag"
        return Mixture(model.weights, means + self.origin, covariances, kind)  # type: ignore[arg-type]


def _mapped(factor: Array, means: Array, covariances: Array) -> tuple[Array, Array]:
    """Means and covariances of what a linear map makes of Gaussians; `factor` (d,) scales features."""
    if factor.ndim == 1:
        return means * factor, covariances * np.square(factor)
    moved = factor @ covariances @ factor.T
    return means @ factor.T, 0.5 * (moved + moved.transpose(0, 2, 1))
