"""What a kind of covariance must answer: the interface of everything that depends on storage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array

__all__ = ["CovarianceKind", "CovarianceType"]

CovarianceType = Literal["full", "tied", "diag", "spherical"]


class CovarianceKind(ABC):
    """How the covariances of k components in d features are stored and computed with.

    Below, *covariances* have the shape `shape(k, d)`; *scatter* has `scatter_shape(k, d)`;
    *whiteners* are (k, d, d) lower triangular for "full" and "tied", (k, d) reciprocal deviations
    for "diag" and "spherical", whatever is stored once only being repeated.

    Attributes
    ----------
    name : the covariance type.
    scatter_type : the type in which every component has a covariance of its own of the scatter's
        shape: "full" for "full" and "tied", "diag" for "diag" and "spherical". Mixtures of this
        type can be pooled and merged, and the outcome brought back by `of_full`.
    isotropic : whether features must keep their proportions: `rescaled` then takes equal scales
        alone.
    """

    name: CovarianceType
    scatter_type: CovarianceType
    isotropic: bool = False

    @abstractmethod
    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """Shape of the stored covariances."""

    def scatter_shape(self, k: int, d: int) -> tuple[int, ...]:
        """Shape of the scatters that an M-step receives: (k, d, d) or (k, d)."""
        return (k, d, d) if self.scatter_type == "full" else (k, d)

    @abstractmethod
    def stored(self, d: int) -> int:
        """Distinct values of one component's covariance.

        The one covariance that is "tied" counts for every component: pooled with other blocks', each
        component has its own.
        """

    def parameters(self, k: int, d: int) -> int:
        """Free covariance parameters of the whole mixture, as information criteria count them."""
        return k * self.stored(d)

    def free_parameters(self, k: int, d: int, sizes: Sequence[int] = ()) -> int:
        """The numbers that a mixture of k components is free to have: weights less one, means, covariances,
        and of categorical features of these sizes the probabilities but one of each."""
        levels = sum(size - 1 for size in sizes)
        return k - 1 + k * (d + levels) + self.parameters(k, d)

    @abstractmethod
    def asymmetry(self, covariances: Array) -> float:
        """Largest relative difference between a covariance and its transpose."""

    @abstractmethod
    def whiteners(self, covariances: Array, k: int, d: int) -> Array:
        """(k, d, d) or (k, d) factors that whiten, perhaps a read-only view.

        Raises `InvalidInput` when a covariance is not positive definite.
        """

    @abstractmethod
    def log_density(self, X: Array, means: Array, whiteners: Array) -> Array:
        """(n, k) log-densities in nats."""

    @abstractmethod
    def squared_length(self, delta: Array, whiteners: Array) -> Array:
        """(n,) squared Mahalanobis lengths of `delta` (n, d), by one whitener or one each."""

    @abstractmethod
    def scatter(self, X: Array, means: Array, weights: Array) -> Array:
        """Scatter about `means` (k, d) of rows weighted by `weights` (n, k)."""

    @abstractmethod
    def from_scatter(self, scatter: Array, weights: Array) -> Array:
        """Maximum-likelihood covariances for scatters of total `weights` (k,)."""

    @abstractmethod
    def with_added(self, covariances: Array, variance: Array) -> Array:
        """Covariances with `variance` (d,) added to every diagonal; its mean where d are one."""

    @abstractmethod
    def rescaled(self, covariances: Array, scale: Array) -> Array:
        """Covariances after feature i is multiplied by `scale[i]`.

        Raises `InvalidInput` for unequal scales when the kind is isotropic.
        """

    @abstractmethod
    def full(self, covariances: Array, k: int, d: int) -> Array:
        """(k, d, d), perhaps a read-only view."""

    @abstractmethod
    def of_full(self, full: Array, weights: Array) -> Array:
        """From (k, d, d) and the components' weights (k,), averaging what this kind stores once."""

    @abstractmethod
    def variances(self, covariances: Array, k: int, d: int) -> Array:
        """(k, d) diagonals."""

    @abstractmethod
    def condition_numbers(self, covariances: Array, k: int, d: int) -> Array:
        """(k,) largest over smallest eigenvalue; inf where the smallest is not above 0."""

    @abstractmethod
    def marginal(self, covariances: Array, features: Sequence[int]) -> Array:
        """Covariances of these features alone, in the order given."""

    def picked(self, covariances: Array, components: NDArray[np.intp]) -> Array:
        """Covariances of these components alone, in the order given."""
        return covariances[components]
