"""Parts: weighted Gaussians, or points, as data; and the models that are fitted to them.

Everything an E- or M-step needs of a part is its weight, mean and second moments: linear features of
it. So a step is a matrix product with the features of all parts, whatever their number; `passes` has
them. Numbers are in the `units` of the pooled mixture.
Probabilities of levels are linear, too: a part adds sum p log P_j to its expected log-density.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import cholesky
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part

__all__ = ["Model", "Parts"]


_FLAT = "covariances of a refined mixture"


@cache
def _pairs(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """The pairs i <= j of d features, and what the product of two counts in a quadratic form / -2."""
    first, second = np.triu_indices(d)
    return first, second, np.where(first == second, -0.5, -1.0)


@dataclass(frozen=True)
class Model:
    """A mixture as refinement computes with it: unchecked arrays, covariances (k, d, d) or (k, d).

    levels : (k, m) probabilities of the levels of categorical features, side by side, m 0 without.
    sizes : levels of each of these features.
    """

    weights: Array
    means: Array
    covariances: Array
    levels: Array | None = None
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, given: AnyMixture) -> Model:
        """A "full" or "diag" mixture, in its own units."""
        own = numeric_part(given)
        if not isinstance(given, MixedMixture):
            return cls(own.weights, own.means, own.covariances)
        levels = np.concatenate(given.level_probabilities, axis=1)
        return cls(own.weights, own.means, own.covariances, levels, given.sizes)

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
        known = [] if self.levels is None else [np.log(self.levels)]
        return np.concatenate([constant[:, None], linear, quadratic, *known], axis=1)

    @cached_property
    def root(self) -> Array:
        """(k, d, d) lower triangular with covariances root root', or (k, d) deviations."""
        return cholesky(self.covariances) if self.full else np.sqrt(self.covariances)

    def picked(self, index: NDArray[np.intp]) -> Model:
        """The components at `index`, with their weights as they are."""
        levels = None if self.levels is None else self.levels[index]
        parts = (self.weights[index], self.means[index], self.covariances[index])
        return Model(*parts, levels, self.sizes)

    def parts(self) -> Parts:
        """The components as parts."""
        return Parts(
            self.weights, self.means, self.covariances, self.full, None, self.levels, self.sizes
        )


@dataclass(frozen=True)
class Parts:
    """Weighted Gaussians as data.

    Parameters
    ----------
    weights : (n,) above 0, sum 1.
    means : (n, d)
    covariances : (m, d, d), or (m, d) for variances alone; `None` for points, which have none.
    full : whether models of them have matrices as covariances.
    owner : (n,) which of the covariances each part has, ascending; `None` where each has its own.
    levels : (n, l) probabilities of levels, side by side; `None` without categorical features.
    sizes : levels of each categorical feature.
    compiled : whether compiled code computes with them; the numbers are the same to rounding.
    """

    weights: Array
    means: Array
    covariances: Array | None
    full: bool = True
    owner: NDArray[np.intp] | None = None
    levels: Array | None = None
    sizes: tuple[int, ...] = ()
    compiled: bool = False

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def features(self) -> Array:
        """(q, n): 1, the mean, the second moments about the origin, each of them once, the levels."""
        n, d = self.means.shape
        numbers = self._numbers
        features = np.empty((numbers + sum(self.sizes), n))
        features[0] = 1.0
        means, seconds = features[1 : 1 + d], features[1 + d : numbers]
        if self.levels is not None:
            features[numbers:] = self.levels.T
        means[:] = self.means.T
        if self.full:  # pair after pair in the order of `_pairs`: what has i first is one piece
            at = 0
            for i in range(d):
                np.multiply(means[i], means[i:], out=seconds[at : at + d - i])
                at += d - i
        else:
            np.square(means, out=seconds)
        if self.covariances is not None:
            own = _packed(self.covariances, self.full).T
            seconds += own if self.owner is None else own.take(self.owner, axis=1)
        return features

    @cached_property
    def widths(self) -> tuple[Array, NDArray[np.int64]]:
        """Covariances, each number once and all in one row, and (n,) whose each part has."""
        if self.covariances is None:
            return np.empty(0), np.empty(0, np.int64)
        owner = np.arange(len(self)) if self.owner is None else self.owner
        return _packed(self.covariances, self.full).ravel(), owner.astype(np.int64)

    @property
    def _numbers(self) -> int:
        """How many features are not of levels."""
        d: int = self.means.shape[1]
        return 1 + d + (d * (d + 1) // 2 if self.full else d)

    def some(self, which: NDArray[np.bool_]) -> Parts:
        """Those parts alone, with weights that add up to 1."""
        weights = self.weights[which]
        owner = np.arange(len(self)) if self.owner is None else self.owner
        return replace(
            self,
            weights=weights / weights.sum(),
            means=self.means[which],
            owner=owner[which],
            levels=None if self.levels is None else self.levels[which],
        )

    def grouped(self, shares: Array) -> Model:
        """Every component becomes the exact merge of its shares (k, n) of the parts.

        `shares` add up to the parts' weights, so that the model has the parts' mean and covariance.
        """
        return self.merged(shares @ self.features.T)

    def merged(self, sums: Array) -> Model:
        """The M-step: components of sums (k, q) of shares times features."""
        d, weights = self.means.shape[1], sums[:, 0]
        moments = sums / weights[:, None]
        means, seconds = moments[:, 1 : 1 + d], moments[:, 1 + d : self._numbers]
        levels = None if self.levels is None else moments[:, self._numbers :]
        if not self.full:
            own = seconds - np.square(means)
            return Model(weights / weights.sum(), means, own, levels, self.sizes)
        first, second, _ = _pairs(d)
        covariances = np.empty((len(weights), d, d))
        covariances[:, first, second] = seconds
        covariances[:, second, first] = seconds
        covariances -= means[:, :, None] * means[:, None, :]
        return Model(weights / weights.sum(), means, covariances, levels, self.sizes)


def _packed(covariances: Array, full: bool) -> Array:
    if not full:
        return covariances
    first, second, _ = _pairs(covariances.shape[-1])
    packed: Array = covariances[:, first, second]
    return packed
