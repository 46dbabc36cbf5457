"""Days: how much the rows of a day have in common, and what a day's rows are therefore worth.

Errors over rows suppose that rows are independent of one another. Rows of one day share the day: its weather,
its prices, its outage. How much of a feature's variance lies between days, beyond what chance puts there, is
the intraclass correlation; what it costs is Kish's design effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.moments import Moments

__all__ = ["day_effects", "day_measures"]


def day_effects(days: Sequence[Moments]) -> tuple[Array, Array]:
    """Of each feature, the share of its variance between days, and the rows that a day's are worth.

    Parameters
    ----------
    days : moments of two days or more, of the same d features, with more rows than days in all.

    Returns
    -------
    shares : (d,) intraclass correlations, 0 or more (one-way analysis of variance with days of different
        sizes; Searle, Casella and McCulloch 1992, section 3.6).
    rows : (d,) independent rows whose mean has the error of a day's: n / (1 + (n - 1) share), of n rows a day
        (Kish 1965, section 5.4).

    Raises `InvalidInput` for fewer days or rows.

    >>> quiet, loud = Moments.of([[-1.0], [1.0]]), Moments.of([[9.0], [11.0]])
    >>> shares, rows = day_effects([quiet, loud])
    >>> [round(float(one), 3) for one in (*shares, *rows)]
    [0.961, 1.02]
    """
    sizes = np.array([day.weight for day in days])
    k, n = len(days), float(sizes.sum())
    if k < 2 or n <= k:
        raise InvalidInput(
            "days to compare", got=(k, n), bound="two or more, of more rows than days"
        )
    means = np.array([day.mean for day in days])
    within = sum(np.diagonal(day.scatter) for day in days) / (n - k)
    between = sizes @ np.square(means - sizes @ means / n) / (k - 1)
    usual = (n - float(sizes @ sizes) / n) / (k - 1)  # rows of a day, where days differ in size
    total = between + (usual - 1) * within
    more = np.maximum(between - within, 0.0)
    shares = np.divide(more, total, out=np.zeros_like(total), where=total > 0)
    return shares, usual / (1 + (usual - 1) * shares)


def day_measures(days: Sequence[Moments]) -> dict[str, float]:
    """The same of the feature that days have most in common in, by name; none of fewer than two days."""
    if len(days) < 2 or sum(day.weight for day in days) <= len(days):
        return {}
    shares, rows = day_effects(days)
    return {"largest_day_effect": float(shares.max()), "independent_rows": float(rows.min())}
