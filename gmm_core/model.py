"""Density model: a mixture with its features and its tail curve, answering in source units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, to_matrix
from gmm_core.gaussian import log_normalise
from gmm_core.mixture import Mixture
from gmm_core.normalise import denormalise, normalise_by
from gmm_core.scoring import TailCurve

__all__ = ["OUTPUTS", "DensityModel"]

OUTPUTS = ("score", "responsibilities", "component", "normalised", "log_prob")

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class DensityModel:
    """What other jobs look up: rows in source units in, scores and normalised values out.

    Parameters
    ----------
    stream : name of the stream.
    features : the d features, in the order of the mixture's.
    mixture : in feature space.
    tail : calibration of its log-density.
    anomaly_above : score above which a row counts as an anomaly, between 0 and 1.
    """

    stream: str
    features: tuple[Feature, ...]
    mixture: Mixture
    tail: TailCurve
    anomaly_above: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        if len(self.features) != self.mixture.n_features:
            raise InvalidInput(
                "features of the model",
                got=len(self.features),
                bound=f"{self.mixture.n_features}, as the mixture",
            )
        if not 0 < self.anomaly_above < 1:
            raise InvalidInput("anomaly_above", got=self.anomaly_above, bound="between 0 and 1")

    @classmethod
    def build(
        cls,
        stream_name: str,
        features: Sequence[Feature],
        mixture: Mixture,
        anomaly_above: float,
        seed: int = 0,
    ) -> DensityModel:
        """A model of the mixture, its tail curve calibrated with the seed."""
        return cls(
            stream_name, tuple(features), mixture, TailCurve.of(mixture, seed), anomaly_above
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    def to_matrix(self, columns: Mapping[str, ArrayLike]) -> Array:
        """Columns in source units as (n, d) rows in feature space; raises `InvalidInput`."""
        return to_matrix(self.features, columns)

    def output(self, columns: Mapping[str, ArrayLike], name: str) -> Columns:
        """One of `OUTPUTS` for rows in source units, as named columns of length n."""
        if name not in _ANSWERS:
            raise InvalidInput("unknown output", got=name, bound=", ".join(OUTPUTS))
        return _ANSWERS[name](self, _Rows.of(self, columns))

    def transform(self, columns: Mapping[str, ArrayLike]) -> Columns:
        """Every `<feature>_normalised`, then component, log_prob, score and anomaly (bool)."""
        rows = _Rows.of(self, columns)
        answer = _normalised(self, rows) | _log_prob(self, rows) | _score(self, rows)
        return answer | {"anomaly": answer["score"] > self.anomaly_above}

    def restore(self, columns: Mapping[str, ArrayLike]) -> Columns:
        """Normalised columns and `component` back to the features in source units."""
        wanted = [*self.normalised_names, "component"]
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise InvalidInput(
                f"columns {missing} are missing", got=sorted(columns), bound=", ".join(wanted)
            )
        values = np.column_stack(
            [np.asarray(columns[name], np.float64) for name in self.normalised_names]
        )
        rows = denormalise(self.mixture, values, columns["component"])
        return {f.name: f.inverse(rows[:, index]) for index, f in enumerate(self.features)}

    def component_table(self) -> list[dict[str, Any]]:
        """One record per component and feature.

        component, weight, feature; mean and sd in feature space; centre, low and high in source
        units: the inverse of mean, mean - sd and mean + sd.
        """
        deviations = self.mixture.standard_deviations()
        return [
            {
                "component": index,
                "weight": float(weight),
                "feature": feature.name,
                "mean": float(mean),
                "sd": float(sd),
                "centre": float(feature.inverse(mean)),
                "low": float(feature.inverse(mean - sd)),
                "high": float(feature.inverse(mean + sd)),
            }
            for index, weight in enumerate(self.mixture.weights)
            for feature, mean, sd in zip(
                self.features, self.mixture.means[index], deviations[index], strict=True
            )
        ]

    @property
    def normalised_names(self) -> list[str]:
        """Names of the normalised columns, in the order of the features."""
        return [f"{name}_normalised" for name in self.feature_names]


@dataclass(frozen=True)
class _Rows:
    """Rows in feature space with the one pass over the components that every answer shares."""

    matrix: Array
    log_prob: Array
    log_shares: Array
    component: NDArray[np.int64]

    @classmethod
    def of(cls, model: DensityModel, columns: Mapping[str, ArrayLike]) -> _Rows:
        matrix = model.to_matrix(columns)
        joint = model.mixture.log_joint(matrix)
        return cls(matrix, *log_normalise(joint), joint.argmax(axis=1).astype(np.int64))


def _score(model: DensityModel, rows: _Rows) -> Columns:
    return {"score": model.tail.score(rows.log_prob)}


def _log_prob(model: DensityModel, rows: _Rows) -> Columns:
    return {"log_prob": rows.log_prob}


def _component(model: DensityModel, rows: _Rows) -> Columns:
    return {"component": rows.component}


def _responsibilities(model: DensityModel, rows: _Rows) -> Columns:
    shares = np.exp(rows.log_shares)
    return {f"responsibility_{index}": shares[:, index] for index in range(shares.shape[1])}


def _normalised(model: DensityModel, rows: _Rows) -> Columns:
    values = normalise_by(model.mixture, rows.matrix, rows.component)
    named: Columns = {name: values[:, index] for index, name in enumerate(model.normalised_names)}
    return named | _component(model, rows)


_ANSWERS: dict[str, Callable[[DensityModel, _Rows], Columns]] = {
    "score": _score,
    "responsibilities": _responsibilities,
    "component": _component,
    "normalised": _normalised,
    "log_prob": _log_prob,
}
