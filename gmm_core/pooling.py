"""Pooling: the components of all blocks of a window as one mixture. Exact, free of order, no fit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixed.levels import LevelShares
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.summary import BlockSummary, common_features, rows_share

__all__ = [
    "common_type",
    "faded",
    "pool",
    "pool_mixtures",
    "pooled_levels",
    "pooled_regularisation",
]

_NOTHING = 2.0**-50  # of a block: less than this is lost in rounding


def faded(
    summaries: Sequence[BlockSummary], as_of: str, half_life: float | None
) -> list[BlockSummary]:
    """The summaries with each row counting 2^(-age / half_life) times, age in days to the key.

    What is computed of them (pool, regularisation, laws) then is of rows so weighted; their means and
    covariances stay. A block of which nothing is left beside the newest one is left out. `None` fades
    nothing. Raises `InvalidInput` for a half-life of 0 or less, or a block newer than the key.

    >>> from gmm_core import Feature, fit_block
    >>> rows = [[1.0], [2.0], [4.0]]
    >>> old, new = (fit_block("s", f"2017-01-0{day}", [Feature("x")], rows, k=1) for day in (1, 3))
    >>> [summary.moments.weight for summary in faded([old, new], "2017-01-03", half_life=2)]
    [1.5, 3.0]
    """
    if half_life is None:
        return list(summaries)
    if not half_life > 0:
        raise InvalidInput("half_life", got=half_life, bound="above 0, in days")
    ages = [_days(summary.key, as_of) for summary in summaries]
    newest = min(ages, default=0)
    if newest < 0:
        raise InvalidInput("a block is newer than the window", got=-newest, bound=f"up to {as_of}")
    parts = [2.0 ** (-(age - newest) / half_life) for age in ages]
    remains = 2.0 ** (-newest / half_life)
    return [
        _part_of(summary, part * remains)
        for summary, part in zip(summaries, parts, strict=True)
        if part > _NOTHING
    ]


def _days(key: str, as_of: str) -> int:
    return (dt.date.fromisoformat(as_of) - dt.date.fromisoformat(key)).days


def _part_of(summary: BlockSummary, part: float) -> BlockSummary:
    """The summary as if each of its rows counted so many times."""
    whole = summary.moments
    return replace(summary, moments=Moments(whole.weight * part, whole.mean, whole.scatter * part))


def pool(summaries: Sequence[BlockSummary]) -> AnyMixture:
    """All components of all blocks as one mixture, weighted by rows: exact, whatever the order.

    Pooled, every component needs a covariance of its own: "tied" blocks become "full", "spherical"
    ones "diag", and blocks of different types "full", which loses nothing. Raises
    `InvalidInput` for no blocks, a key twice, or blocks that differ in stream or features.
    """
    common_features(summaries)
    keys = [summary.key for summary in summaries]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InvalidInput("a block is in the window twice", got=twice, bound="each block once")
    return pool_mixtures(sorted(summaries, key=lambda summary: summary.key))


def pool_mixtures(summaries: Sequence[BlockSummary]) -> AnyMixture:
    """`pool` without its checks, in the order given."""
    numeric = _pooled_numeric(summaries)
    mixed = [one.mixture for one in summaries if isinstance(one.mixture, MixedMixture)]
    if not mixed:
        return numeric
    by_feature = zip(*(mixture.level_probabilities for mixture in mixed), strict=True)
    return MixedMixture(numeric, tuple(np.concatenate(tables) for tables in by_feature))


def _pooled_numeric(summaries: Sequence[BlockSummary]) -> Mixture:
    share = rows_share(summaries)
    common = kind_of(common_type(summaries)).scatter_type
    mixtures = [numeric_part(summary.mixture).as_type(common) for summary in summaries]
    weights = np.concatenate(
        [part * mixture.weights for part, mixture in zip(share, mixtures, strict=True)]
    )
    return Mixture(
        weights / weights.sum(),
        np.concatenate([mixture.means for mixture in mixtures]),
        np.concatenate([mixture.covariances for mixture in mixtures]),
        common,
    )


def common_type(summaries: Sequence[BlockSummary]) -> CovarianceType:
    """The covariance type of all blocks, "full" when they differ."""
    types = {summary.mixture.covariance_type for summary in summaries}
    return types.pop() if len(types) == 1 else "full"


def pooled_regularisation(summaries: Sequence[BlockSummary]) -> Array:
    """(d,) variance that the fits added, averaged by rows as the pooled mixture is."""
    common_features(summaries)
    ordered = sorted(summaries, key=lambda summary: summary.key)
    pooled: Array = rows_share(ordered) @ np.stack([summary.regularisation for summary in ordered])
    return pooled


def pooled_levels(summaries: Sequence[BlockSummary]) -> tuple[LevelShares, ...]:
    """Shares of the levels of all rows, for each categorical feature."""
    common_features(summaries)
    ordered = sorted(summaries, key=lambda summary: summary.key)
    by_feature = zip(*(summary.levels for summary in ordered), strict=True)
    return tuple(LevelShares.pooled(parts, rows_share(ordered)) for parts in by_feature)
