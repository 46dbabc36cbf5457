"""Tally of transformed rows: counts, worst errors and moments, taken in one pass and added up.

A tally is a commutative monoid under `+`, as the moments in it are: parts of a block are counted apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gmm_core.mixed.mixture import numeric_part
from gmm_core.model import DensityModel
from gmm_core.moments import Moments
from gmm_core.normalising.distances import denormalise

__all__ = ["Tally", "judged_columns", "numbers_of", "tally_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What one pass over transformed rows keeps.

    Parameters
    ----------
    rows : how many there are.
    gaps : rows with a missing or infinite value among the judged columns.
    strange_component : complete rows whose component is not one of the model's.
    strange_score : complete rows whose score is outside 0 to 1.
    beyond : complete rows with a normalised value beyond the bound.
    error : (d,) largest relative difference between source values and restored ones.
    moments : of the rows in feature space, as the normalised values tell them.
    log_prob : moments of the log-density.
    """

    rows: int
    gaps: int
    strange_component: int
    strange_score: int
    beyond: int
    error: Array
    moments: Moments
    log_prob: Moments

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.gaps + other.gaps,
            self.strange_component + other.strange_component,
            self.strange_score + other.strange_score,
            self.beyond + other.beyond,
            np.maximum(self.error, other.error),
            self.moments + other.moments,
            self.log_prob + other.log_prob,
        )

    @property
    def complete(self) -> int:
        """Rows without a gap."""
        return self.rows - self.gaps

    @classmethod
    def empty(cls, n_features: int) -> Tally:
        """The neutral element of `+`."""
        nothing = Moments.empty(n_features)
        return cls(0, 0, 0, 0, 0, np.zeros(n_features), nothing, Moments.empty(1))

    def to_json(self) -> str:
        """As text, to travel in a column of a Spark frame; floats survive exactly."""
        parts = {name: _plain(value) for name, value in vars(self).items()}
        return json.dumps(parts)

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """The inverse of `to_json`."""
        parts = json.loads(text)
        for name in ("moments", "log_prob"):
            weight, mean, scatter = parts[name]
            parts[name] = Moments(weight, np.asarray(mean), np.asarray(scatter))
        return cls(**{**parts, "error": np.asarray(parts["error"])})


def judged_columns(model: DensityModel) -> list[str]:
    """Columns of transformed rows that the output gate looks at, all of them numbers."""
    names = [feature.name for feature in model.numeric_features]
    return [*names, *model.normalised_names, "component", "log_prob", "score"]


def tally_of(rows: pd.DataFrame, model: DensityModel, bound: float) -> Tally:
    """Tally of rows whose judged columns are all there and numeric.

    Parameters
    ----------
    rows : with `judged_columns(model)`.
    bound : largest absolute normalised value that counts as within.
    """
    d = len(model.numeric_features)
    table = rows[judged_columns(model)].to_numpy(np.float64, na_value=np.nan)
    whole = table[np.isfinite(table).all(axis=1)]
    source, values = whole[:, :d], whole[:, d : 2 * d]
    component, log_prob, score = whole[:, 2 * d], whole[:, 2 * d + 1], whole[:, 2 * d + 2]
    known = np.isin(component, np.arange(model.mixture.n_components))
    error, moments = _restored(model, source[known], values[known], component[known])
    return Tally(
        len(table),
        len(table) - len(whole),
        int((~known).sum()),
        int(((score < 0) | (score > 1)).sum()),
        int((np.abs(values) > bound).any(axis=1).sum()),
        error,
        moments,
        Moments.of(log_prob[:, None]),
    )


def numbers_of(column: pd.Series) -> pd.Series | None:
    """The column as float64, or `None` when it holds anything else but numbers and gaps."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_complex_dtype(kind):
        return None
    if not pd.api.types.is_numeric_dtype(kind) and not all(map(_is_number, column.dropna())):
        return None
    return pd.Series(column.to_numpy(np.float64, na_value=np.nan))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool)


def _restored(
    model: DensityModel, source: Array, values: Array, component: Array
) -> tuple[Array, Moments]:
    """Worst relative error (d,) of the round trip, and the moments of the rows in feature space."""
    if not len(source):
        return np.zeros(len(model.numeric_features)), Moments.empty(len(model.numeric_features))
    rows = denormalise(numeric_part(model.mixture), values, component)
    with np.errstate(over="ignore", invalid="ignore"):
        back = np.column_stack(
            [f.inverse(rows[:, i]) for i, f in enumerate(model.numeric_features)]
        )
        off = np.abs(back - source) / np.maximum(np.abs(source), _widths(model))
    return np.nan_to_num(off, nan=np.inf, posinf=np.inf).max(axis=0), Moments.of(rows)


def _widths(model: DensityModel) -> Array:
    """(d,) half the span of the narrowest component, in source units: relative errors of values near
    zero are taken against it, since a zero has no relative error."""
    spans = dict.fromkeys([feature.name for feature in model.numeric_features], np.inf)
    for row in model.component_table():
        spans[row["feature"]] = min(spans[row["feature"]], (row["high"] - row["low"]) / 2)
    return np.array(list(spans.values()))


def _plain(value: Any) -> Any:
    if isinstance(value, Moments):
        return [value.weight, value.mean.tolist(), value.scatter.tolist()]
    return value.tolist() if isinstance(value, np.ndarray) else value
