"""Precedent: a block beside the blocks before it, as laws whose bounds are those blocks' own spread.

Every quantity is taken of the new block against the pooled blocks of the reference, and of each block of
the reference against its others. With m blocks of mean c and deviation s, a further value of the same kind
lies within c ± t s sqrt(1 + 1/m) but with probability `level`, t being Student's quantile with m - 1
degrees of freedom (the prediction interval of Hahn and Meeker 1991, chapter 4). `level` is shared out
evenly over the sides that are looked at (Bonferroni), so it is that of the whole block.

Seven values of a healthy week can agree by chance, so s is never taken for less than what the new block's
number of rows makes of it alone: of a distribution's largest difference that is Kolmogorov's distribution,
of a divergence its standard error, of a number of rows Poisson's.

Distributions are compared, not means and deviations: of the largest difference between distribution functions
a few far rows are worth their share and no more. A day with shorter opening hours passes so, and a day in
another unit does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.drift.marginals import marginals
from gmm_core.errors import InvalidInput
from gmm_core.extras import optional
from gmm_core.invariants import Law
from gmm_core.summary import BlockSummary, common_features

__all__ = ["LEAST_REFERENCE", "precedent_laws"]

LEAST_REFERENCE = 4  # blocks: three degrees of freedom
_DRAWS = 1_024
# Mean and deviation of Kolmogorov's distribution: of sqrt(n) times the largest difference (Marsaglia,
# Tsang and Wang 2003), n rows against a known distribution.
_K_MEAN = float(np.sqrt(np.pi / 2) * np.log(2))
_K_DEVIATION = float(np.sqrt(np.pi**2 / 12 - np.pi / 2 * np.log(2) ** 2))
_SAME = 1e-9  # standard deviations: rounding of sums over the same rows in another order


def precedent_laws(
    block: BlockSummary, reference: Sequence[BlockSummary], level: float, draws: int = _DRAWS
) -> list[Law]:
    """The laws of a block that its reference sets: distributions, divergence, rows, and no repetition.

    Parameters
    ----------
    block : the new block.
    reference : blocks that were accepted, at least `LEAST_REFERENCE`, the block itself not among them.
    level : probability, between 0 and 1, that a block like the others breaks any of the laws.
    draws : rows drawn of each block's mixture for the divergence.

    Raises
    ------
    InvalidInput : too few blocks, blocks of other features, a block of its own reference, a wrong level.
    """
    features = common_features([*reference, block])
    if len(reference) < LEAST_REFERENCE or block.key in {one.key for one in reference}:
        raise InvalidInput(
            f"reference of block {block.key}",
            got=[one.key for one in reference],
            bound=f"at least {LEAST_REFERENCE} other blocks",
        )
    if not 0 < level < 1:
        raise InvalidInput("level", got=level, bound="between 0 and 1")
    ordered = sorted(reference, key=lambda one: one.key)
    reach = _reach(len(ordered), level / (len(features) + 3))  # the divergence, rows on both sides
    return [
        _new_law(block, ordered),
        _rows_law(block, ordered, reach),
        *_distribution_laws(block, ordered, reach),
        _divergence_law(block, ordered, reach, draws),
    ]


def _reach(blocks: int, level: float) -> float:
    """How many deviations of the reference's values a further one may lie above their mean."""
    special = optional("scipy.special", "bounds by precedent", "scipy")
    return float(-special.stdtrit(blocks - 1, level) * np.sqrt(1 + 1 / blocks))


@dataclass(frozen=True)
class _Usual:
    """Mean and deviation of the reference's values, not below a centre and a spread of rows alone."""

    centre: float
    spread: float

    @classmethod
    def of(cls, values: Array, spread: float, centre: float = -np.inf) -> _Usual:
        return cls(max(float(values.mean()), centre), max(float(values.std(ddof=1)), spread))


def _new_law(block: BlockSummary, reference: Sequence[BlockSummary]) -> Law:
    same = [one.key for one in reference if _same_rows(block, one)]
    found = f" It has those of {', '.join(same)}." if same else ""
    return Law(
        "not_delivered_before",
        "The rows are not those of an earlier block under another date (counted: blocks before it with "
        f"the same number of rows, means, covariances and range).{found}",
        float(len(same)),
        upper=0,
    )


def _same_rows(a: BlockSummary, b: BlockSummary) -> bool:
    if a.moments.weight != b.moments.weight:
        return False
    deviation = np.sqrt(np.diagonal(a.moments.covariance)) + np.finfo(np.float64).tiny
    off = [
        (a.moments.mean - b.moments.mean) / deviation,
        (a.minimum - b.minimum) / deviation,
        (a.maximum - b.maximum) / deviation,
        (a.moments.covariance - b.moments.covariance) / np.outer(deviation, deviation),
        *(x.shares - y.shares for x, y in zip(a.levels, b.levels, strict=True)),
    ]
    return all(bool((np.abs(one) <= _SAME).all()) for one in off)


def _rows_law(block: BlockSummary, reference: Sequence[BlockSummary], reach: float) -> Law:
    rows = np.array([one.moments.weight for one in reference])
    # Poisson's deviation of a logarithm, at the number that is expected: the block's own may be absurd.
    usual = _Usual.of(np.log(rows), float(1 / np.sqrt(rows.mean())))
    return Law(
        "rows_as_before",
        "The block has about as many rows as those before it: one with many more would own the window.",
        block.moments.weight,
        float(np.exp(usual.centre - reach * usual.spread)),
        float(np.exp(usual.centre + reach * usual.spread)),
    )


def _distribution_laws(
    block: BlockSummary, reference: Sequence[BlockSummary], reach: float
) -> Iterator[Law]:
    """One law a feature: its distribution in the block beside that in the pooled reference."""
    root = np.sqrt(block.moments.weight)
    for found in marginals([*reference, block]):
        before = found.first(len(reference))
        pooled, _ = before.pooled()
        if found.numeric:
            floor = (_K_DEVIATION / root, _K_MEAN / root)
            what = "largest difference of the distribution functions"
        else:
            floor = _shares_floor(pooled, block.moments.weight)
            what = "half the sum of the differences of the levels' shares"
        own = [
            found.distance(one, before.pooled(without=at)[0]) for at, one in enumerate(before.table)
        ]
        usual = _Usual.of(np.array(own), *floor)
        name = found.feature.name
        yield Law(
            f"{name}_as_before",
            f"{name} is distributed about as in the blocks before ({what}, 0 to 1). "
            "Far off, the unit, the time zone or the meaning of the values changed.",
            found.distance(found.table[-1], pooled),
            upper=min(usual.centre + reach * usual.spread, 1.0),
        )


def _shares_floor(shares: Array, rows: float) -> tuple[float, float]:
    """Deviation and mean of half the summed differences between `shares` and those of so many rows.

    Each share is about normal, so its absolute difference has the mean sqrt(2 / pi) and the deviation
    sqrt(1 - 2 / pi) of its standard error; deviations of terms that hang together at most add up.
    """
    total = float(np.sqrt(shares * (1 - shares) / rows).sum()) / 2
    return float(np.sqrt(1 - 2 / np.pi)) * total, float(np.sqrt(2 / np.pi)) * total


def _divergence_law(
    block: BlockSummary, reference: Sequence[BlockSummary], reach: float, draws: int
) -> Law:
    """What moved together, or gathered in one place, which no single feature shows."""
    rows = np.array([one.moments.weight for one in reference])
    found = []
    for at, one in enumerate([*reference, block]):
        drawn = one.mixture.sample(draws, at)
        others = [index for index in range(len(reference)) if index != at]
        logs = np.stack([np.log(rows[j]) + reference[j].mixture.log_prob(drawn) for j in others])
        pooled = np.logaddexp.reduce(logs, axis=0) - np.log(rows[others].sum())
        found.append(one.mixture.log_prob(drawn) - pooled)
    # A fit's divergence from the truth falls as one over its rows: of fewer rows more is usual.
    fewer = max(1.0, rows.mean() / block.moments.weight)
    own = np.array([one.mean() for one in found[:-1]])
    error = float(np.mean([one.std() for one in found[:-1]]))
    usual = _Usual.of(own * fewer, error / np.sqrt(min(block.moments.weight, draws)))
    return Law(
        "divergence_as_before",
        "The block's mixture is about as far from those before it as each of these from the others "
        "(Kullback and Leibler's divergence, in nats). Far off, values moved together as they never did, "
        "or rows gathered where there were few.",
        float(found[-1].mean()),
        upper=usual.centre + reach * usual.spread,
    )
