"""The window: which blocks it holds, what identifies it, and its mixture.

Sliding is pooling again without the block that left: exact, free of order, and cheap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.pooling import common_type, pool
from gmm_core.reduction import reduce
from gmm_core.summary import BlockSummary

__all__ = ["block_set_hash", "select_blocks", "window_mixture"]


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
