"""Density model: a mixture with its features and its tail curve, answering in source units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, categorical_of, numeric_of, to_matrix
from gmm_core.gaussian import log_normalise
from gmm_core.mixed import AnyMixture, MixedMixture, numeric_part
from gmm_core.normalise import denormalise, normalise_by
from gmm_core.scoring import TailCurve
from gmm_core.summary import check_levels

__all__ = ["OUTPUTS", "DensityModel"]

OUTPUTS = ("score", "responsibilities", "component", "normalised", "log_prob")

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class DensityModel:
    """What other jobs look up: rows in source units in, scores and normalised values out.

    Parameters
    ----------
    stream : name of the stream.
    features : the numeric features, then the categorical ones, in the order of the mixture's.
    mixture : in feature space.
    tail : calibration of its log-density.
    anomaly_above : score above which a row counts as an anomaly, between 0 and 1.
    component_ids : (k,) ids that components keep from one version to the next (`gmm_core.labels`),
        where `component` is the index within this version; 0 to k - 1 when left out.
    """

    stream: str
    features: tuple[Feature, ...]
    mixture: AnyMixture
    tail: TailCurve
    anomaly_above: float
    component_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        k = self.mixture.n_components
        ids = tuple(int(one) for one in self.component_ids) or tuple(range(k))
        object.__setattr__(self, "component_ids", ids)
        if len(ids) != k or len(set(ids)) < k or min(ids) < 0:
            raise InvalidInput("component_ids", got=ids, bound=f"{k} different ids, 0 or more")
        if len(self.features) != self.mixture.n_features:
            raise InvalidInput(
                "features of the model",
                got=len(self.features),
                bound=f"{self.mixture.n_features}, as the mixture",
            )
        numeric_of(self.features)  # raises unless they come first
        check_levels(self.features, self.mixture)
        if not 0 < self.anomaly_above < 1:
            raise InvalidInput("anomaly_above", got=self.anomaly_above, bound="between 0 and 1")

    @classmethod
    def build(
        cls,
        stream_name: str,
        features: Sequence[Feature],
        mixture: AnyMixture,
        anomaly_above: float,
        seed: int = 0,
        component_ids: Sequence[int] = (),
    ) -> DensityModel:
        """A model of the mixture, its tail curve calibrated with the seed."""
        tail = TailCurve.of(mixture, seed)
        return cls(stream_name, tuple(features), mixture, tail, anomaly_above, tuple(component_ids))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def numeric_features(self) -> tuple[Feature, ...]:
        """Those that can be normalised."""
        return numeric_of(self.features)

    def to_matrix(self, columns: Mapping[str, ArrayLike]) -> Array:
        """Columns in source units as (n, d) rows in feature space; raises `InvalidInput`."""
        return to_matrix(self.features, columns)

    def output(self, columns: Mapping[str, ArrayLike], name: str) -> Columns:
        """One of `OUTPUTS` for rows in source units, as named columns of length n."""
        if name not in _ANSWERS:
            raise InvalidInput("unknown output", got=name, bound=", ".join(OUTPUTS))
        return _ANSWERS[name](self, _Rows.of(self, columns))

    def transform(self, columns: Mapping[str, ArrayLike]) -> Columns:
        """Every numeric `<feature>_normalised`, then component, component_id, log_prob, score, anomaly."""
        rows = _Rows.of(self, columns)
        answer = _normalised(self, rows) | _log_prob(self, rows) | _score(self, rows)
        return answer | {"anomaly": answer["score"] > self.anomaly_above}

    def restore(self, columns: Mapping[str, ArrayLike]) -> Columns:
        """Normalised columns and `component` back to the numeric features in source units."""
        wanted = [*self.normalised_names, "component"]
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise InvalidInput(
                f"columns {missing} are missing", got=sorted(columns), bound=", ".join(wanted)
            )
        values = np.column_stack(
            [np.asarray(columns[name], np.float64) for name in self.normalised_names]
        )
        rows = denormalise(numeric_part(self.mixture), values, columns["component"])
        return {f.name: f.inverse(rows[:, index]) for index, f in enumerate(self.numeric_features)}

    def component_table(self) -> list[dict[str, Any]]:
        """One record per component and numeric feature.

        component, component_id, weight, feature; mean and sd in feature space; centre, low and high in source
        units: the inverse of mean, mean - sd and mean + sd.
        """
        mixture = numeric_part(self.mixture)
        deviations = mixture.standard_deviations()
        return [
            {
                "component": index,
                "component_id": self.component_ids[index],
                "weight": float(weight),
                "feature": feature.name,
                "mean": float(mean),
                "sd": float(sd),
                "centre": float(feature.inverse(mean)),
                "low": float(feature.inverse(mean - sd)),
                "high": float(feature.inverse(mean + sd)),
            }
            for index, weight in enumerate(mixture.weights)
            for feature, mean, sd in zip(
                self.numeric_features, mixture.means[index], deviations[index], strict=True
            )
        ]

    def level_table(self) -> list[dict[str, Any]]:
        """One record per component, categorical feature and level; none without such features.

        component, component_id, weight, feature, level, and its probability in the component.
        """
        if not isinstance(self.mixture, MixedMixture):
            return []
        pairs = tuple(
            zip(categorical_of(self.features), self.mixture.level_probabilities, strict=True)
        )
        return [
            {
                "component": index,
                "component_id": self.component_ids[index],
                "weight": float(weight),
                "feature": feature.name,
                "level": level,
                "probability": float(probability),
            }
            for index, weight in enumerate(self.mixture.weights)
            for feature, table in pairs
            for level, probability in zip(feature.level_names, table[index], strict=True)
        ]

    @property
    def normalised_names(self) -> list[str]:
        """Names of the normalised columns, in the order of the numeric features."""
        return [f"{feature.name}_normalised" for feature in self.numeric_features]


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
    ids = np.array(model.component_ids, dtype=np.int64)
    return {"component": rows.component, "component_id": ids[rows.component]}


def _responsibilities(model: DensityModel, rows: _Rows) -> Columns:
    shares = np.exp(rows.log_shares)
    return {f"responsibility_{index}": shares[:, index] for index in range(shares.shape[1])}


def _normalised(model: DensityModel, rows: _Rows) -> Columns:
    numbers = rows.matrix[:, : len(model.numeric_features)]
    values = normalise_by(numeric_part(model.mixture), numbers, rows.component)
    named: Columns = {name: values[:, index] for index, name in enumerate(model.normalised_names)}
    return named | _component(model, rows)


_ANSWERS: dict[str, Callable[[DensityModel, _Rows], Columns]] = {
    "score": _score,
    "responsibilities": _responsibilities,
    "component": _component,
    "normalised": _normalised,
    "log_prob": _log_prob,
}
