"""Mixture: weights, means and covariances as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows, content_hash, frozen_array
from gmm_core.cholesky import cholesky
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceKind, CovarianceType, kind_of, log_normalise

__all__ = ["Mixture"]

_SUM_SLACK = 1e-9
_SYMMETRY_SLACK = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Mixture:
    """A Gaussian mixture of k components in d features. Equal by content, hashable, read-only.

    Parameters
    ----------
    weights : (k,) above 0, sum 1.
    means : (k, d)
    covariances : (k, d, d) for "full", (k, d) variances for "diag"; positive definite.
    covariance_type : "full" or "diag".

    Raises
    ------
    InvalidInput : a shape, a weight or a covariance is wrong; the message says which.

    >>> pair = Mixture([0.25, 0.75], [[0.0], [4.0]], [[1.0], [1.0]], "diag")
    >>> pair.mean().tolist(), pair.covariance().tolist()
    ([3.0], [[4.0]])
    >>> pair.component([[0.0], [5.0]]).tolist()
    [0, 1]
    """

    weights: Array
    means: Array
    covariances: Array
    covariance_type: CovarianceType = "full"

    def __post_init__(self) -> None:
        kind = kind_of(self.covariance_type)
        means = frozen_array(self.means, "means", (None, None))
        k, d = means.shape
        if k == 0 or d == 0:
            raise InvalidInput(
                "a mixture needs components and features", got=(k, d), bound="at least (1, 1)"
            )
        weights = frozen_array(self.weights, "weights", (k,))
        covariances = frozen_array(self.covariances, "covariances", kind.shape(k, d))
        if (weights <= 0).any():
            raise InvalidInput(
                "weights of a mixture", got=weights.tolist(), bound="every weight above 0"
            )
        if abs(weights.sum() - 1) > _SUM_SLACK:
            raise InvalidInput(
                "weights of a mixture do not sum to one", got=float(weights.sum()), bound="1"
            )
        if kind.asymmetry(covariances) > _SYMMETRY_SLACK:
            raise InvalidInput(
                "a covariance is not symmetric", got=covariances.tolist(), bound="S equals S'"
            )
        for name, value in (("weights", weights), ("means", means), ("covariances", covariances)):
            object.__setattr__(self, name, value)
        _ = self._whiteners  # raises when a covariance is not positive definite

    def __reduce__(self) -> tuple[Any, ...]:
        # Rebuilt through the constructor, so that the copy in another process is read-only too.
        return (Mixture, (self.weights, self.means, self.covariances, self.covariance_type))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mixture):
            return NotImplemented
        return self.content_hash() == other.content_hash()

    def __hash__(self) -> int:
        return hash(self.content_hash())

    def __repr__(self) -> str:
        return (
            f"Mixture({self.n_components} components, {self.n_features} features, {self.covariance_type}, "
            f"largest weight {self.weights.max():.3g}, {self.content_hash()[:8]})"
        )

    @property
    def n_components(self) -> int:
        """k"""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """d"""
        return int(self.means.shape[1])

    @property
    def kind(self) -> CovarianceKind:
        """How the covariances are stored and computed with."""
        return kind_of(self.covariance_type)

    @cached_property
    def _whiteners(self) -> Array:
        return self.kind.whiteners(self.covariances)

    def log_joint(self, X: ArrayLike) -> Array:
        """(n, k) log of weight times density: what every answer about rows is made of."""
        rows = as_rows(X, self.n_features).astype(np.float64, copy=False)
        joint: Array = self.kind.log_density(rows, self.means, self._whiteners) + np.log(
            self.weights
        )
        return joint

    def log_prob(self, X: ArrayLike) -> Array:
        """(n,) log-density of rows `X` (n, d), in nats; finite for every finite row."""
        return log_normalise(self.log_joint(X))[0]

    def log_responsibilities(self, X: ArrayLike) -> Array:
        """(n, k) log of the probability that a component made the row."""
        return log_normalise(self.log_joint(X))[1]

    def responsibilities(self, X: ArrayLike) -> Array:
        """(n, k) probability that a component made the row; rows sum to 1."""
        return np.exp(self.log_responsibilities(X))

    def component(self, X: ArrayLike) -> NDArray[np.int64]:
        """(n,) index of the most responsible component."""
        index: NDArray[np.int64] = self.log_joint(X).argmax(axis=1).astype(np.int64)
        return index

    def mean(self) -> Array:
        """(d,) mean of the whole mixture."""
        # About the first mean: a common offset of all means then costs no digits.
        origin = self.means[0]
        mean: Array = origin + self.weights @ (self.means - origin)
        return mean

    def covariance(self) -> Array:
        """(d, d) covariance of the whole mixture: within components plus between their means."""
        origin = self.means[0]
        spread = self.means - origin
        spread = (spread - self.weights @ spread) * np.sqrt(self.weights)[:, None]
        within = np.einsum("k,kij->ij", self.weights, self.full_covariances())
        covariance: Array = within + spread.T @ spread
        return covariance

    def full_covariances(self) -> Array:
        """(k, d, d), whatever the covariance type."""
        return self.kind.full(self.covariances)

    def as_type(self, covariance_type: CovarianceType) -> Mixture:
        """The same components with covariances of another type.

        To "full" nothing is lost; to "diag" the covariances between features are.
        """
        if covariance_type == self.covariance_type:
            return self
        covariances = kind_of(covariance_type).of_full(self.full_covariances())
        return Mixture(self.weights, self.means, covariances, covariance_type)

    def standard_deviations(self) -> Array:
        """(k, d)"""
        return np.sqrt(self.kind.variances(self.covariances))

    def condition_numbers(self) -> Array:
        """(k,) largest over smallest eigenvalue of each covariance."""
        return self.kind.condition_numbers(self.covariances)

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> Array:
        """(n, d) rows drawn from the mixture, in random order; one seed, one outcome."""
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n, self.weights / self.weights.sum())
        rows = rng.standard_normal((n, self.n_features))
        stops = np.cumsum(counts)
        for index, lower in enumerate(cholesky(self.full_covariances())):
            part = slice(stops[index] - counts[index], stops[index])
            rows[part] = self.means[index] + rows[part] @ lower.T
        rng.shuffle(rows)
        return rows

    def content_hash(self) -> str:
        """64 hex digits that identify weights, means, covariances and their type."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        return content_hash(
            "mixture", self.covariance_type, self.weights, self.means, self.covariances
        )
