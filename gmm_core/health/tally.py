"""Tally: what is counted of rows that a model scored, and what the counts say.

A tally is a few dozen counts. Tallies of parts of the rows add up to that of all, so workers count and
the driver adds. Scores of rows from the model itself are uniform; what else is counted has no shape that
is known beforehand, and is compared with what the model's own draws give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import numeric_part
from gmm_core.model import DensityModel

__all__ = ["DISTANCES", "EDGES", "Tally", "expected_tally", "tally_of"]

# Of scores; dense where anomalies are. And of a row's distance to its component, in deviations.
EDGES: Array = np.append(np.linspace(0.0, 0.95, 20), [0.99, 0.999, 1.0])
DISTANCES: Array = np.append(np.linspace(0.0, 6.0, 121), np.inf)


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of scored rows; `+` adds those of other rows.

    Parameters
    ----------
    scores : (22,) rows by score, between `EDGES`.
    distances : (121,) rows by their distance to their component (root mean square over the numeric
        features, in deviations), between `DISTANCES`.
    confusion : (4,) labelled rows: true and false positives, false and true negatives; zeros without
        labels.
    not_finite : rows whose log-density is no finite number; counted nowhere else.
    anomalies : rows above the model's threshold.
    """

    scores: Array
    distances: Array
    confusion: Array
    not_finite: int = 0
    anomalies: int = 0

    def __post_init__(self) -> None:
        for name, size in (
            ("scores", len(EDGES) - 1),
            ("distances", len(DISTANCES) - 1),
            ("confusion", 4),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (size,)))

    @classmethod
    def empty(cls) -> Tally:
        """Of no rows."""
        return cls(np.zeros(len(EDGES) - 1), np.zeros(len(DISTANCES) - 1), np.zeros(4))

    def __add__(self, other: Tally) -> Tally:
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(
            self.scores + other.scores,
            self.distances + other.distances,
            self.confusion + other.confusion,
            self.not_finite + other.not_finite,
            self.anomalies + other.anomalies,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.scores.tobytes(), self.distances.tobytes(), self.confusion.tobytes()))

    @property
    def rows(self) -> int:
        """Rows that were scored."""
        return int(self.scores.sum())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        counts = {
            name: getattr(self, name).tolist() for name in ("scores", "distances", "confusion")
        }
        return {**counts, "not_finite": self.not_finite, "anomalies": self.anomalies}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Tally:
        """The tally that `to_dict` was asked of; raises `InvalidInput`."""
        try:
            return cls(**data)
        except TypeError:
            raise InvalidInput(
                "not a tally", got=sorted(data), bound="what to_dict gives"
            ) from None

    def distance_quantile(self, q: float) -> float:
        """The distance that a share `q` of the rows is within, between the edges by interpolation."""
        total = np.append(0.0, np.cumsum(self.distances[:-1]))
        wanted = q * self.distances.sum()
        return float(np.interp(wanted, total, DISTANCES[:-1]))

    def calibration_error(self) -> float:
        """Largest difference between the shares of rows below an edge and the edge: 0 to 1.

        Kolmogorov and Smirnov's distance of the scores to the uniform distribution, at the edges.
        """
        below = np.cumsum(self.scores) / max(self.scores.sum(), 1)
        return float(np.abs(below - EDGES[1:]).max())

    def measures(self) -> dict[str, float]:
        """By name (`gmm_core.health.catalogue`); those of labels only where there are some."""
        rows = max(self.rows, 1)
        hit, false, missed, rest = self.confusion
        found = {
            "calibration_error": self.calibration_error(),
            "anomaly_share": self.anomalies / rows,
            "not_finite_rows": float(self.not_finite),
            "assignment_distance_median": self.distance_quantile(0.5),
            "assignment_distance_p95": self.distance_quantile(0.95),
        }
        if hit + false:
            found["anomaly_precision"] = float(hit / (hit + false))
        if hit + missed:
            found["anomaly_recall"] = float(hit / (hit + missed))
        if false + rest:
            found["false_positive_rate"] = float(false / (false + rest))
        return found


def tally_of(
    model: DensityModel, rows: Array, log_prob: Array, labels: ArrayLike | None = None
) -> Tally:
    """Of rows (n, d) in feature space with their log-densities (n,), and `labels` (n,) of anomalies."""
    finite = np.isfinite(log_prob)
    rows, log_prob = rows[finite], log_prob[finite]
    score = model.tail.score(log_prob)
    anomaly = score > model.anomaly_above
    confusion = np.zeros(4)
    if labels is not None:
        true = np.asarray(labels, dtype=bool)[finite]
        # True and false positives, false and true negatives.
        place = 2 * (~anomaly).astype(np.intp) + ~true
        confusion = np.bincount(place, minlength=4).astype(np.float64)
    return Tally(
        _histogram(score, EDGES),
        _histogram(_distances(model, rows), DISTANCES),
        confusion,
        int((~finite).sum()),
        int(anomaly.sum()),
    )


def expected_tally(model: DensityModel, draws: int = 4_096, seed: int = 0) -> tuple[Tally, float]:
    """The tally of rows drawn from the model itself, and their mean log-density in nats."""
    rows = model.mixture.sample(draws, seed)
    log_prob = model.mixture.log_prob(rows)
    return tally_of(model, rows, log_prob), float(log_prob.mean())


def _histogram(values: Array, edges: Array) -> Array:
    place: NDArray[np.intp] = np.searchsorted(edges, values, side="right") - 1
    return np.bincount(np.clip(place, 0, len(edges) - 2), minlength=len(edges) - 1).astype(
        np.float64
    )


def _distances(model: DensityModel, rows: Array) -> Array:
    if not len(rows):
        return np.zeros(0)
    numeric = numeric_part(model.mixture)
    component = model.mixture.component(rows)
    away = rows[:, : numeric.n_features] - numeric.means[component]
    distance: Array = np.sqrt(
        np.square(away / numeric.standard_deviations()[component]).mean(axis=1)
    )
    return distance
