"""Density model: a mixture with its features and its tail curve, answering in source units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.answering.answers import ANSWERS, Columns, Rows
from gmm_core.answering.scoring import TailCurve
from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, categorical_of, numeric_of, to_matrix
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.normalising.distances import denormalise
from gmm_core.summary import check_levels

__all__ = ["OUTPUTS", "DensityModel"]

OUTPUTS = tuple(ANSWERS)


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
        _check_outputs([name])
        return ANSWERS[name](Rows.of(self, columns))

    def transform(self, columns: Mapping[str, ArrayLike], also: Sequence[str] = ()) -> Columns:
        """Every numeric `<feature>_normalised`, then component, component_id, log_prob, score, anomaly.

        Then the columns of the outputs that are named in `also`: "explanation", "contributions", ...
        """
        _check_outputs(also)
        rows, answer = Rows.of(self, columns), Columns()
        for name in ("normalised", "log_prob", "score"):
            answer |= ANSWERS[name](rows)
        answer["anomaly"] = answer["score"] > self.anomaly_above
        for name in also:
            answer |= ANSWERS[name](rows)
        return answer

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


def _check_outputs(names: Sequence[str]) -> None:
    for name in names:
        if name not in ANSWERS:
            raise InvalidInput("unknown output", got=name, bound=", ".join(OUTPUTS))
