"""Answers: what a density model says of rows, one function an output, from one pass over the components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.answering.contributions import deviations
from gmm_core.answering.density import Density
from gmm_core.answering.explanations import explanations
from gmm_core.arrays import Array
from gmm_core.mixed.mixture import numeric_part
from gmm_core.normalising.distances import normalise_by

__all__ = ["ANSWERS", "Columns", "Rows"]

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Rows:
    """Rows in feature space with the one pass over the components that every answer shares.

    Parameters
    ----------
    model : whose components they are.
    matrix : (n, d)
    """

    model: Density
    matrix: Array

    @classmethod
    def of(cls, model: Density, columns: Mapping[str, ArrayLike]) -> Rows:
        """Rows in source units; raises `InvalidInput`."""
        return cls(model, model.to_matrix(columns))

    @property
    def log_prob(self) -> Array:
        """(n,) nats."""
        return self._told[0]

    @property
    def component(self) -> NDArray[np.int64]:
        """(n,) the most responsible one."""
        return self._told[1]

    @cached_property
    def log_shares(self) -> Array:
        """(n, k) log-responsibilities."""
        return self.model.mixture.log_responsibilities(self.matrix)

    @cached_property
    def deviations(self) -> tuple[Array, Array]:
        """(n, d) of each feature given the others, and (n, d) what would be usual."""
        return deviations(self.model.mixture, self.matrix, self.component)

    @cached_property
    def _told(self) -> tuple[Array, NDArray[np.int64]]:
        return self.model.mixture.density_and_component(self.matrix)


def _score(rows: Rows) -> Columns:
    return {"score": rows.model.tail.score(rows.log_prob)}


def _responsibilities(rows: Rows) -> Columns:
    shares = np.exp(rows.log_shares)
    return {f"responsibility_{index}": shares[:, index] for index in range(shares.shape[1])}


def _component(rows: Rows) -> Columns:
    ids = np.array(rows.model.component_ids, dtype=np.int64)
    return {"component": rows.component, "component_id": ids[rows.component]}


def _normalised(rows: Rows) -> Columns:
    model = rows.model
    numbers = rows.matrix[:, : len(model.numeric_features)]
    values = normalise_by(numeric_part(model.mixture), numbers, rows.component)
    named: Columns = {name: values[:, index] for index, name in enumerate(model.normalised_names)}
    return named | _component(rows)


def _log_prob(rows: Rows) -> Columns:
    return {"log_prob": rows.log_prob}


def _tail_probability(rows: Rows) -> Columns:
    return {"tail_probability": rows.model.tail.tail_probability(rows.log_prob)}


def _entropy(rows: Rows) -> Columns:
    shares = np.exp(rows.log_shares)
    # A share that rounds to 0 adds nothing, however large its logarithm.
    parts = shares * np.where(shares > 0, rows.log_shares, 0.0)
    return {"entropy": np.maximum(-parts.sum(axis=1), 0.0)}


def _contributions(rows: Rows) -> Columns:
    off = rows.deviations[0]
    named: Columns = {
        f"{name}_contribution": off[:, index] for index, name in enumerate(rows.model.feature_names)
    }
    return named | _component(rows)


def _explanation(rows: Rows) -> Columns:
    score = rows.model.tail.score(rows.log_prob)
    texts = explanations(rows.model, rows.matrix, rows.component, score, *rows.deviations)
    return {"explanation": np.array(texts, dtype=object)}


ANSWERS: dict[str, Callable[[Rows], Columns]] = {
    "score": _score,
    "responsibilities": _responsibilities,
    "component": _component,
    "normalised": _normalised,
    "log_prob": _log_prob,
    "tail_probability": _tail_probability,
    "entropy": _entropy,
    "contributions": _contributions,
    "explanation": _explanation,
}
