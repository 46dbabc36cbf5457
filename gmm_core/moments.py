"""Moments: (weight, mean, scatter about the mean), a commutative monoid under `+`.

`combine` is the only merge formula of this package. It serves rows, chunks of rows, shards, blocks
and components alike (Chan, Golub, LeVeque 1983; Patist et al. 2006, section 2, second form).
Nothing here or elsewhere subtracts squared means from mean squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows, as_weights, frozen_array
from gmm_core.errors import InvalidInput

__all__ = ["Moments", "combine"]

_CHUNK = 16_384


def combine(
    weight_a: Any, mean_a: Array, scatter_a: Array, weight_b: Any, mean_b: Array, scatter_b: Array
) -> tuple[Any, Array, Array]:
    """Merge two sets of centred moments, element by element over leading axes.

    Parameters
    ----------
    weight_a, weight_b : (...) total weights, 0 or more.
    mean_a, mean_b : (..., d)
    scatter_a, scatter_b : (..., d, d), or (..., d) for its diagonal alone.

    Returns
    -------
    weight, mean, scatter of the union. An element of weight 0 changes nothing.
    """
    weight_a, weight_b = np.asarray(weight_a, np.float64), np.asarray(weight_b, np.float64)
    weight = weight_a + weight_b
    share_b = np.divide(weight_b, weight, out=np.zeros_like(weight), where=weight > 0)
    delta = mean_b - mean_a
    mean = mean_a + share_b[..., None] * delta
    between = (weight_a * share_b)[..., None]
    if scatter_a.ndim == mean_a.ndim:
        return weight, mean, scatter_a + scatter_b + between * delta * delta
    outer = delta[..., :, None] * delta[..., None, :]
    return weight, mean, scatter_a + scatter_b + between[..., None] * outer


@dataclass(frozen=True, eq=False)
class Moments:
    """Total weight, mean and scatter of weighted rows.

    Addition is associative and commutative up to rounding, `Moments.empty(d)` is its neutral
    element, and `Moments.of(A) + Moments.of(B) == Moments.of(A and B together)` up to rounding.

    Parameters
    ----------
    weight : number of rows, or sum of their weights.
    mean : (d,)
    scatter : (d, d), sum of weight * (x - mean)(x - mean)'.

    >>> left, right = Moments.of([[0.0], [2.0]]), Moments.of([[4.0]])
    >>> total = left + right
    >>> total.weight, total.mean.tolist(), total.scatter.tolist()
    (3.0, [2.0], [[8.0]])
    """

    weight: float
    mean: Array
    scatter: Array

    def __post_init__(self) -> None:
        mean = frozen_array(self.mean, "mean of moments", (None,))
        scatter = frozen_array(self.scatter, "scatter of moments", (len(mean), len(mean)))
        weight = float(self.weight)
        if not (np.isfinite(weight) and weight >= 0):
            raise InvalidInput(
                "weight of moments", got=self.weight, bound="a finite number, 0 or more"
            )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "scatter", scatter)

    @classmethod
    def empty(cls, n_features: int) -> Moments:
        """The neutral element of `+`."""
        return cls(0.0, np.zeros(n_features), np.zeros((n_features, n_features)))

    @classmethod
    def of(cls, X: ArrayLike, sample_weight: ArrayLike | None = None) -> Moments:
        """Moments of the rows of `X` (n, d), read chunk by chunk; raises `InvalidInput`."""
        rows = as_rows(X)
        return cls.of_checked(rows, as_weights(sample_weight, len(rows)))

    @classmethod
    def of_checked(cls, rows: NDArray[Any], weights: Array | None) -> Moments:
        """As `of`, for what `as_rows` and `as_weights` gave: neither checked nor copied again."""
        d = rows.shape[1]
        total: tuple[Any, Array, Array] = (0.0, np.zeros(d), np.zeros((d, d)))
        with np.errstate(over="ignore", invalid="ignore"):  # the constructor refuses what overflows
            for first in range(0, len(rows), _CHUNK):
                chunk = rows[first : first + _CHUNK].astype(np.float64)
                weight = None if weights is None else weights[first : first + _CHUNK]
                total = combine(*total, *_centred(chunk, weight))
        return cls(*total)

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        if len(self.mean) != len(other.mean):
            raise InvalidInput(
                "moments of different numbers of features cannot be added",
                got=(len(self.mean), len(other.mean)),
                bound="equal numbers",
            )
        if self.weight == 0 or other.weight == 0:
            return other if self.weight == 0 else self
        # The heavier side is the reference: the smaller step from it rounds less.
        heavy, light = (self, other) if self.weight >= other.weight else (other, self)
        return Moments(
            *combine(
                heavy.weight, heavy.mean, heavy.scatter, light.weight, light.mean, light.scatter
            )
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Moments):
            return NotImplemented
        return (
            self.weight == other.weight
            and np.array_equal(self.mean, other.mean)
            and np.array_equal(self.scatter, other.scatter)
        )

    def __hash__(self) -> int:
        return hash((self.weight, self.mean.tobytes(), self.scatter.tobytes()))

    @property
    def n_features(self) -> int:
        """d"""
        return len(self.mean)

    @property
    def covariance(self) -> Array:
        """(d, d) scatter per weight: the maximum-likelihood covariance; needs some weight."""
        if self.weight == 0:
            raise InvalidInput("no rows have no covariance", got=0, bound="a weight above 0")
        return self.scatter / self.weight


def _centred(rows: Array, weight: Array | None) -> tuple[Any, Array, Array]:
    total = float(len(rows)) if weight is None else float(weight.sum())
    if total == 0:
        return 0.0, np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
    mean = np.average(rows, axis=0, weights=weight)
    rows = rows - mean
    # The mean just taken is rounded; what is left of it after centring is its error.
    left = np.average(rows, axis=0, weights=weight)
    rows -= left
    rows = rows if weight is None else rows * np.sqrt(weight)[:, None]
    return total, mean + left, rows.T @ rows
