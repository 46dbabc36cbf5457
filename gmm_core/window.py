"""The window: which blocks it holds, what identifies it, its mixture, and what it costs to keep.

Sliding is pooling again without the block that left: exact, free of order, and cheap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.reduction import reduce
from gmm_core.summary import BlockSummary, common_features, rows_share

__all__ = [
    "MemoryModel",
    "block_set_hash",
    "common_type",
    "memory_model",
    "pool",
    "pooled_regularisation",
    "select_blocks",
    "window_mixture",
]


def select_blocks(present: Iterable[str], as_of: str, blocks: int) -> list[str]:
    """The `blocks` newest present keys up to `as_of`, oldest first; fewer when fewer are present.

    >>> select_blocks(["2017-01-03", "2017-01-01", "2017-01-02", "2017-01-05"], "2017-01-04", 2)
    ['2017-01-02', '2017-01-03']
    """
    if blocks < 1:
        raise InvalidInput("blocks of a window", got=blocks, bound="1 or more")
    return sorted(key for key in set(present) if key <= as_of)[-blocks:]


def block_set_hash(summaries: Iterable[BlockSummary]) -> str:
    """64 hex digits that identify the exact content of a window; the order does not count."""
    lines = sorted(f"{summary.key} {summary.digest}\n" for summary in summaries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


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


def window_mixture(
    summaries: Sequence[BlockSummary],
    k: int,
    criterion: str = "hotelling",
    covariance_type: CovarianceType | None = None,
) -> Mixture:
    """The blocks' mixtures pooled and reduced, once, to k components.

    `covariance_type` is that of the result, whatever the blocks'; `None` is the blocks' own, "full"
    when they differ.
    """
    pooled, wanted = pool(summaries), covariance_type or common_type(summaries)
    own = pooled.as_type(kind_of(wanted).scatter_type)
    return reduce(own, k, criterion=criterion).as_type(wanted)


@dataclass(frozen=True)
class MemoryModel:
    """Stored values of a window of n rows in d features (Patist et al. 2006, section 3).

    p = `per_component` values a component: 1 + d + d(d+1)/2 for "full" and "tied" (which
    becomes "full" when pooled), 1 + 2d for "diag", 2 + d for "spherical".

    >>> memory_model(50_000, 10, 2, "full").optimal_blocks.__round__(2)
    61.55
    """

    n: int
    d: int
    k: int
    per_component: int

    def stored(self, b: float) -> float:
        """M(b) = b k p + d n / b: the block mixtures, and the rows of the block being fitted."""
        return b * self.k * self.per_component + self.d * self.n / b

    def compression(self, b: float) -> float:
        """R(b) = n d / M(b): how many times less than keeping all rows."""
        return self.n * self.d / self.stored(b)

    @property
    def optimal_blocks(self) -> float:
        """b_opt = sqrt(n d / (k p)), where M is least."""
        return float(np.sqrt(self.n * self.d / (self.k * self.per_component)))

    @property
    def best_compression(self) -> float:
        """R(b_opt)"""
        return self.compression(self.optimal_blocks)


def memory_model(n: int, d: int, k: int, covariance_type: CovarianceType) -> MemoryModel:
    """The memory model of a window of n rows; raises `InvalidInput` unless all are at least 1."""
    if min(n, d, k) < 1:
        raise InvalidInput("rows, features and components", got=(n, d, k), bound="each 1 or more")
    return MemoryModel(n, d, k, 1 + d + kind_of(covariance_type).stored(d))
