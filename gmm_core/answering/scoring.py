"""Scoring: from log-density to a score between 0 and 1 that means the same for every model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, content_hash, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import AnyMixture

__all__ = ["TailCurve"]

_DRAWS = 100_000
_LEAST_DRAWS = 1_000
_BELOW = 10  # draws below the lowest point of the curve: fewer say too little


@dataclass(frozen=True, eq=False)
class TailCurve:
    """Share of rows that are rarer than a row of a given log-density: drawn from the model, or observed.

    Parameters
    ----------
    log_density : (m,) increasing, nats.
    tail : (m,) increasing probabilities above 0 that a drawn row has at most that log-density; the
        last is 1.

    >>> from gmm_core import Mixture
    >>> curve = TailCurve.of(Mixture([1.0], [[0.0]], [[1.0]], "diag"))
    >>> score = curve.score(Mixture([1.0], [[0.0]], [[1.0]], "diag").log_prob([[1.96]]))
    >>> round(float(score[0]), 2)
    0.95
    """

    log_density: Array
    tail: Array

    def __post_init__(self) -> None:
        density = frozen_array(self.log_density, "log_density of a tail curve", (None,))
        tail = frozen_array(self.tail, "tail of a tail curve", density.shape)
        rises = len(tail) > 0 and (np.diff(density) > 0).all() and (np.diff(tail) >= 0).all()
        if not (rises and tail[0] > 0 and tail[-1] == 1):
            raise InvalidInput(
                "not a tail curve",
                got=tail.tolist(),
                bound="log_density and tail increasing, tail in (0, 1]",
            )
        object.__setattr__(self, "log_density", density)
        object.__setattr__(self, "tail", tail)

    @classmethod
    def of(cls, mixture: AnyMixture, seed: int = 0, draws: int = _DRAWS) -> TailCurve:
        """Calibrate by drawing from the mixture; raises `InvalidInput` for fewer than 1,000 draws."""
        if draws < _LEAST_DRAWS:
            raise InvalidInput("draws", got=draws, bound=f"{_LEAST_DRAWS} or more")
        return cls.observed(mixture.log_prob(mixture.sample(draws, seed)))

    @classmethod
    def observed(cls, log_prob: ArrayLike) -> TailCurve:
        """Calibrate by rows: the quantiles of their log-densities (n,), a grid dense where rows are rare.

        Of the rows of a window a score above 0.99 then falls to 1 % of them, however well the mixture
        fits: what is rare is told by the rows, not by the model. Raises `InvalidInput` for fewer than 1,000
        rows, or values that are not finite.

        >>> rows = np.random.default_rng(0).normal(size=(5_000, 1))
        >>> score = TailCurve.observed(-np.square(rows[:, 0])).score(-np.square([1.96]))
        >>> round(float(score[0]), 2)
        0.95
        """
        values = np.sort(np.asarray(log_prob, dtype=np.float64).ravel())
        if len(values) < _LEAST_DRAWS or not np.isfinite(values[[0, -1]]).all():
            raise InvalidInput(
                "log-densities to calibrate by",
                got=f"{len(values)} from {values.min(initial=np.inf)}",
                bound=f"{_LEAST_DRAWS} or more, finite",
            )
        grid = np.concatenate(
            [np.geomspace(_BELOW / len(values), 0.1, 200), np.linspace(0.1, 1.0, 181)[1:]]
        )
        density, first = np.unique(np.quantile(values, grid), return_index=True)
        last = np.append(first[1:] - 1, len(grid) - 1)  # of equal quantiles the highest probability
        return cls(density, grid[last])

    def score(self, log_prob: ArrayLike) -> Array:
        """(n,) share of the rows calibrated by that are denser than the row: 1 is most unusual.

        Between the points the logarithm of the tail is interpolated. Below the lowest it falls as a
        Gaussian's does, by one nat per nat.
        """
        score: Array = np.abs(np.expm1(self._log_tail(log_prob)))
        return score

    def tail_probability(self, log_prob: ArrayLike) -> Array:
        """(n,) share of the rows calibrated by that are as rare as the row or rarer: 1 - score.

        Keeps its digits where the score rounds to 1: ranks outliers among themselves.

        >>> curve = TailCurve([-3.0, -1.0], [0.1, 1.0])
        >>> [f"{share:.3g}" for share in curve.tail_probability([-1.0, -3.0, -53.0])]
        ['1', '0.1', '1.93e-23']
        """
        return np.exp(self._log_tail(log_prob))

    def _log_tail(self, log_prob: ArrayLike) -> Array:
        values = np.asarray(log_prob, dtype=np.float64)
        log_tail = np.interp(values, self.log_density, np.log(self.tail))
        below: Array = log_tail + np.minimum(values - self.log_density[0], 0.0)
        return below

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TailCurve):
            return NotImplemented
        return self.content_hash() == other.content_hash()

    def __hash__(self) -> int:
        return hash(self.content_hash())

    def content_hash(self) -> str:
        """64 hex digits that identify the curve."""
        return content_hash("tail curve", self.log_density, self.tail)
