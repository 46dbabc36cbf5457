"""Marginals: how one feature is distributed in each of several blocks, side by side.

All blocks are looked at in the same places: values of a numeric feature, levels of a categorical one. What
several blocks show together is then the average of what each shows by its rows, and a block is set beside
any others without a mixture being made of these. What features do *together* no marginal shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.drift.divergences import shares_distance
from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture, numeric_part
from gmm_core.summary import BlockSummary

__all__ = ["Marginal", "marginals"]

_REACH = np.linspace(
    -4.0, 4.0, 17
)  # deviations around each mean at which distributions are compared


@dataclass(frozen=True, eq=False)
class Marginal:
    """One feature in several blocks.

    Parameters
    ----------
    feature : which.
    table : (blocks, points) distribution functions at common values, or (blocks, m) shares of the levels.
    rows : (blocks,)
    numeric : which of the two.
    """

    feature: Feature
    table: Array
    rows: Array
    numeric: bool

    def pooled(self, without: int | None = None) -> tuple[Array, float]:
        """What all blocks show together, or all but one, and their rows."""
        rows = self.rows if without is None else np.delete(self.rows, without)
        table = self.table if without is None else np.delete(self.table, without, axis=0)
        return rows @ table / rows.sum(), float(rows.sum())

    def first(self, count: int) -> Marginal:
        """The same of the first blocks."""
        return Marginal(self.feature, self.table[:count], self.rows[:count], self.numeric)

    def distance(self, a: Array, b: Array) -> float:
        """Largest difference of two distribution functions (Kolmogorov and Smirnov's); of levels, half the
        sum of the differences of their shares. 0 to 1."""
        return float(np.abs(a - b).max()) if self.numeric else shares_distance(a, b)

    def error(self, a: Array, b: Array, rows_a: float, rows_b: float) -> float:
        """Standard error of the distance, of so many independent rows each.

        The distance is a difference of two shares: of rows below the value where it is largest, or at the
        levels that became rarer. Its error is that of the two shares, binomial; that this place was looked
        for is not in it.
        """
        at = np.abs(a - b).argmax() if self.numeric else a > b
        p, q = (min(float(shares[at].sum()), 1.0) for shares in (a, b))  # sums round
        return float(np.sqrt(p * (1 - p) / rows_a + q * (1 - q) / rows_b))


def marginals(blocks: Sequence[BlockSummary]) -> Iterator[Marginal]:
    """Every feature of blocks that have the same ones, in their order."""
    rows = np.array([one.moments.weight for one in blocks])
    numeric = numeric_part(blocks[0].mixture).n_features
    for at, feature in enumerate(blocks[0].features):
        table = _curves(blocks, at) if at < numeric else _shares(blocks, at - numeric)
        yield Marginal(feature, table, rows, at < numeric)


def _curves(blocks: Sequence[BlockSummary], at: int) -> Array:
    found = [numeric_part(one.mixture).marginal([at]) for one in blocks]
    grid = np.unique(
        np.concatenate([(one.means + one.standard_deviations() * _REACH).ravel() for one in found])
    )
    return np.stack([one.cdf(grid) for one in found])


def _shares(blocks: Sequence[BlockSummary], at: int) -> Array:
    mixtures = [one.mixture for one in blocks]
    return np.stack([one.level_shares()[at] for one in mixtures if isinstance(one, MixedMixture)])
