"""The window: which blocks it holds, what identifies it, and its mixture.

Sliding is pooling again without the block that left: exact, free of order, and cheap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixed.mixture import AnyMixture
from gmm_core.pooling import common_type, pool
from gmm_core.reduction import reduce
from gmm_core.reduction.choice import ChoiceCriterion, choose
from gmm_core.refinement.window import refine, seed_of
from gmm_core.strategy import DEFAULT, Strategy, strategy_of
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
    k: int | Iterable[int],
    strategy: Strategy | str = DEFAULT,
    covariance_type: CovarianceType | None = None,
    *,
    previous_k: int | None = None,
    k_criterion: ChoiceCriterion = "bic",
) -> AnyMixture:
    """The blocks' mixtures pooled, reduced, once, to k components, and refined.

    Parameters
    ----------
    k : components; or several numbers, as range(2, 9), of which the best is taken by `k_criterion`,
        "bic" or "icl". `previous_k`, if given and among them, stays unless another is clearly better
        (`gmm_core.reduction.choice`). The outcome is that of the number taken.
    strategy : how; or a preset's name ("default", "paper"), or a criterion's for a reduction by it
        that is not refined. Whatever it is, mean and covariance are the pooled ones (and the shares
        of levels; with categorical features the criterion must be "runnalls" or "jeffreys"), and neither
        the order of the blocks nor chance counts: seeds come from the blocks' keys.
    covariance_type : of the result, whatever the blocks'; `None` is the blocks' own, "full" when
        they differ.
    """
    strategy = strategy_of(strategy)
    pooled, wanted = pool(summaries), covariance_type or common_type(summaries)
    own = pooled.as_type(kind_of(wanted).scatter_type)
    seed = seed_of(summary.key for summary in summaries)
    if isinstance(k, Iterable):
        k = choose(
            own,
            k,
            float(sum(summary.moments.weight for summary in summaries)),
            criterion=k_criterion,
            previous=previous_k,
            strategy=strategy,
            covariance_type=wanted,
            seed=seed,
        ).k
    reduced = reduce(own, k, criterion=strategy.criterion, search=strategy.search)
    return refine(own, reduced, strategy, seed, summaries).as_type(wanted)
