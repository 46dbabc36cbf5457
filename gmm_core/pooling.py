"""Pooling: the components of all blocks of a window as one mixture. Exact, free of order, no fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.summary import BlockSummary, common_features, rows_share

__all__ = ["common_type", "pool", "pool_mixtures", "pooled_regularisation"]


def pool(summaries: Sequence[BlockSummary]) -> Mixture:
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


def pool_mixtures(summaries: Sequence[BlockSummary]) -> Mixture:
    """`pool` without its checks, in the order given."""
    share = rows_share(summaries)
    common = kind_of(common_type(summaries)).scatter_type
    mixtures = [summary.mixture.as_type(common) for summary in summaries]
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
