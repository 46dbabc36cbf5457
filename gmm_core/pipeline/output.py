"""Laws of transformed rows: complete, bounded, invertible, and plausible under the model.

Plausible: a block's mean is a cluster sample, a day's rows share the day. With n rows its variance is
(1/n + t²) s², where s² is the variance of single rows and t² the share by which days differ. s², and
for the spread the fourth moment, come from the mixture; the mixture has the exact mean and
covariance of its window, so no misfit of its shape enters. t is set to `BETWEEN_DAYS`, and `ERRORS`
such standard errors are allowed. On a year of grocery baskets (blocks of 260 to 644 rows, each under
the model of its own week and of some other week) t is 0.02 to 0.11, the largest shift 0.53 s, the
smallest spread 0.36 of the model's: all inside. Amounts in cents instead of dollars shift by 3.5 s
or more: outside, and still outside when that day is one of the window's seven.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.invariants import Law
from gmm_core.mixed.mixture import numeric_part
from gmm_core.model import DensityModel
from gmm_core.pipeline.settings.gates import Gates
from gmm_core.pipeline.tally import Array, Tally

__all__ = ["BETWEEN_DAYS", "ERRORS", "USABLE", "output_laws", "round_trip_laws"]

BETWEEN_DAYS = 0.2  # standard deviation of day means, in standard deviations of single rows
ERRORS = 6.0  # standard errors
ROUND_TRIP = 1e-9  # relative
USABLE = "columns usable"
_DRAWS = 20_000


def output_laws(
    model: DensityModel, gates: Gates, tally: Tally | None, unusable: dict[str, str]
) -> list[Law]:
    """The laws of the transformed rows of a block.

    Parameters
    ----------
    model : that transformed the rows.
    gates : the stream's `normalised_bound` and `normalised_share`.
    tally : of the rows; `None` when a column is unusable, then all but the first law fail.
    unusable : columns that are missing or not numeric, with what was found.
    """
    return [
        Law(
            USABLE,
            "Every output column is there and holds numbers (counted: those that do not).",
            float(len(unusable)),
            upper=0,
        ),
        *_row_laws(
            gates, tally or Tally.empty(len(model.numeric_features)), measured=tally is not None
        ),
        *round_trip_laws(model, tally.error if tally and tally.moments.weight else None),
        *_plausible_laws(model, tally),
    ]


def _row_laws(gates: Gates, tally: Tally, measured: bool) -> list[Law]:
    def count(name: str, says: str, got: int) -> Law:
        return Law(name, f"{says} (rows counted).", float(got) if measured else np.nan, upper=0)

    within = 1 - tally.beyond / tally.complete if tally.complete else np.nan
    return [
        Law(
            "rows complete",
            "Rows came out, and none lacks a value or holds an infinite one (share of rows).",
            tally.complete / tally.rows if tally.rows else np.nan,
            lower=1,
        ),
        count(
            "component known",
            "Rows whose component is not one of the model's",
            tally.strange_component,
        ),
        count("score in range", "Rows whose score is outside 0 to 1", tally.strange_score),
        Law(
            "normalised bounded",
            f"Rows have all their normalised values within {gates.normalised_bound:g} of 0 (share of rows).",
            within,
            lower=gates.normalised_share,
        ),
    ]


def round_trip_laws(model: DensityModel, error: Array | None) -> list[Law]:
    """One a numeric feature, of the largest relative errors (d,); `None` when nothing was measured."""
    names = [feature.name for feature in model.numeric_features]
    return [
        Law(
            f"{name}: restored",
            f"Normalised values and components give back {name} (largest relative difference).",
            np.nan if error is None else float(error[index]),
            upper=ROUND_TRIP,
        )
        for index, name in enumerate(names)
    ]


def _plausible_laws(model: DensityModel, tally: Tally | None) -> list[Law]:
    n = tally.moments.weight if tally else 0.0
    seen = _Seen.of(model, tally) if tally and n else _Seen.nothing(len(model.numeric_features))
    error = np.sqrt(1 / max(n, 1.0) + BETWEEN_DAYS**2)
    spread_error = np.sqrt((_kurtosis(model) - 1) / 4 / max(n, 1.0) + BETWEEN_DAYS**2)
    laws = []
    names = [feature.name for feature in model.numeric_features]
    for index, name in enumerate(names):
        reach = np.exp(ERRORS * spread_error[index])
        laws += [
            Law(
                f"{name}: mean plausible",
                f"The block's mean of {name} is near the model's (in the model's standard deviations). "
                "Far off, the unit or the meaning of the values changed.",
                float(seen.shift[index]),
                -ERRORS * error,
                ERRORS * error,
            ),
            Law(
                f"{name}: spread plausible",
                f"{name} spreads about as widely as in the model (ratio of standard deviations).",
                float(seen.spread[index]),
                1 / reach,
                reach,
            ),
        ]
    return [
        *laws,
        Law(
            "log_prob plausible",
            "The rows are about as likely as rows the model itself would draw (mean log-density less "
            "that of its draws, in their standard deviations).",
            seen.log_prob,
            lower=-ERRORS * error,
        ),
    ]


@dataclass(frozen=True)
class _Seen:
    """What the rows show, against what the model predicts."""

    shift: Array
    spread: Array
    log_prob: float

    @classmethod
    def of(cls, model: DensityModel, tally: Tally) -> _Seen:
        mixture = numeric_part(model.mixture)
        deviation = np.sqrt(np.diagonal(mixture.covariance()))
        drawn = model.mixture.log_prob(model.mixture.sample(_DRAWS, seed=0))
        return cls(
            (tally.moments.mean - mixture.mean()) / deviation,
            np.sqrt(np.diagonal(tally.moments.covariance)) / deviation,
            float((tally.log_prob.mean[0] - drawn.mean()) / drawn.std()),
        )

    @classmethod
    def nothing(cls, n_features: int) -> _Seen:
        return cls(np.full(n_features, np.nan), np.full(n_features, np.nan), np.nan)


def _kurtosis(model: DensityModel) -> Array:
    """(d,) fourth central moment of each feature over its squared variance, from the mixture."""
    mixture = numeric_part(model.mixture)
    off = mixture.means - mixture.mean()
    within = mixture.standard_deviations() ** 2
    fourth = mixture.weights @ (3 * within**2 + 6 * within * off**2 + off**4)
    kurtosis: Array = fourth / np.diagonal(mixture.covariance()) ** 2
    return kurtosis
