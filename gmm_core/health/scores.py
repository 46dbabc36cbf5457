"""Scores: rows scored by several models at once, summed up so that parts of the rows add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.errors import InvalidInput
from gmm_core.health.tally import Tally, tally_of
from gmm_core.model import DensityModel
from gmm_core.moments import Moments

__all__ = ["Scores"]


@dataclass(frozen=True)
class Scores:
    """What m models say of the same rows; `+` adds other rows.

    Parameters
    ----------
    log_prob : moments of the rows' log-densities (n, m) in nats, of rows where all m are finite.
    tallies : one per model.
    """

    log_prob: Moments
    tallies: tuple[Tally, ...]

    @classmethod
    def empty(cls, models: int) -> Scores:
        """Of no rows."""
        return cls(Moments.empty(models), (Tally.empty(),) * models)

    @classmethod
    def of(
        cls,
        models: Sequence[DensityModel],
        columns: Mapping[str, ArrayLike],
        labels: ArrayLike | None = None,
    ) -> Scores:
        """Of rows in source units; raises `InvalidInput` for no models, or models of different features."""
        if not models or any(model.features != models[0].features for model in models):
            raise InvalidInput(
                "models to score the same rows",
                got=[list(model.feature_names) for model in models],
                bound="one or more, of the same features",
            )
        rows = models[0].to_matrix(columns)
        if not len(rows):
            return cls.empty(len(models))
        logs = np.column_stack([model.mixture.log_prob(rows) for model in models])
        tallies = tuple(
            tally_of(model, rows, logs[:, at], labels) for at, model in enumerate(models)
        )
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(logs).all(axis=1))
        if not finite.any():
            return cls(Moments.empty(len(models)), tallies)
        return cls(Moments.of(logs[finite]), tallies)

    def __add__(self, other: Scores) -> Scores:
        if not isinstance(other, Scores):
            return NotImplemented
        pairs = zip(self.tallies, other.tallies, strict=True)
        return Scores(self.log_prob + other.log_prob, tuple(a + b for a, b in pairs))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        moments = self.log_prob
        return {
            "weight": moments.weight,
            "mean": moments.mean.tolist(),
            "scatter": moments.scatter.tolist(),
            "tallies": [tally.to_dict() for tally in self.tallies],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scores:
        """The scores that `to_dict` was asked of."""
        moments = Moments(data["weight"], np.array(data["mean"]), np.array(data["scatter"]))
        return cls(moments, tuple(Tally.from_dict(one) for one in data["tallies"]))
