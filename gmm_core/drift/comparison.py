"""Comparison: is one model as good as another on rows that neither was fitted to?

Both models score the same rows, so the question is about the mean of the rows' differences, whose
standard error is far below that of either mean. *Not worse* is shown, never assumed: the lower confidence
bound of the difference must lie above minus the margin (a test of non-inferiority; Wellek 2010, chapter 2).

The log-densities of m models on n rows are kept as `Moments` of an (n, m) matrix: these add over chunks
of rows, and say the mean and the variance of every difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from gmm_core.errors import InvalidInput
from gmm_core.moments import Moments

__all__ = ["Difference", "Verdict", "difference"]

Verdict = Literal["better", "not worse", "unclear", "worse"]


@dataclass(frozen=True)
class Difference:
    """Mean log-density of one model less that of another, on the same rows.

    Parameters
    ----------
    rows : how many.
    mean : nats per row; above 0 where the one is better.
    error : standard error of `mean`, as if rows were independent of one another.

    >>> Difference(rows=400, mean=-0.01, error=0.002).verdict(margin=0.05)
    'not worse'
    >>> Difference(rows=9, mean=-0.01, error=0.2).verdict(margin=0.05)
    'unclear'
    """

    rows: int
    mean: float
    error: float

    def verdict(self, margin: float, confidence: float = 0.95) -> Verdict:
        """What can be said at this one-sided confidence; `margin` in nats per row.

        better: above 0. Not worse: above -margin. Worse: below -margin. Unclear: the rows cannot tell.
        Raises `InvalidInput` for a margin below 0 or a confidence outside (0.5, 1).
        """
        if not margin >= 0:
            raise InvalidInput("margin", got=margin, bound="0 or more")
        if not 0.5 < confidence < 1:
            raise InvalidInput("confidence", got=confidence, bound="above 0.5, below 1")
        reach = NormalDist().inv_cdf(confidence) * self.error
        if self.mean - reach > 0:
            return "better"
        if self.mean - reach > -margin or (self.mean == 0 and self.error == 0):
            return "not worse"
        return "worse" if self.mean + reach < -margin else "unclear"


def difference(scores: Moments, one: int = 0, other: int = 1) -> Difference:
    """Of two of the models whose log-densities were summed up; raises `InvalidInput` for no rows.

    >>> difference(Moments.of([[-1.0, -2.0], [-3.0, -3.0]]))
    Difference(rows=2, mean=0.5, error=0.5)
    """
    if not scores.weight >= 1:
        raise InvalidInput("rows to compare models on", got=scores.weight, bound="1 or more")
    mean = float(scores.mean[one] - scores.mean[other])
    contrast = np.zeros(scores.n_features)
    contrast[one] += 1
    contrast[other] -= 1
    scatter = max(float(contrast @ scores.scatter @ contrast), 0.0)
    if scores.weight == 1:
        return Difference(1, mean, 0.0 if one == other else float("inf"))
    return Difference(
        round(scores.weight), mean, float(np.sqrt(scatter / (scores.weight - 1) / scores.weight))
    )
