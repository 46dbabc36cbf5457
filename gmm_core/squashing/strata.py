"""Strata: a sample of a column that sees its tails, with the weights that make it fair.

Rows are divided by intervals of equal width in rank from both tails inward, and of each about as
many are drawn. A row drawn with probability p weighs 1 / p (Horvitz and Thompson 1952), so weighted
sums over the sample are unbiased for sums over all rows, and weighted fits take it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.squashing.cells import Cells

__all__ = ["Strata", "strata_of"]


@dataclass(frozen=True)
class Strata:
    """Intervals and the probability with which their rows are drawn.

    Parameters
    ----------
    borders : (s - 1,) ascending; a border opens a stratum.
    probability : (s,) above 0, at most 1.
    """

    borders: tuple[float, ...]
    probability: tuple[float, ...]

    def probabilities(self, values: ArrayLike) -> Array:
        """(n,) with what probability rows of these values are drawn."""
        at = np.searchsorted(np.array(self.borders), np.asarray(values), side="right")
        drawn: Array = np.array(self.probability)[at]
        return drawn


def strata_of(cells: Cells, rows: int, strata: int = 16) -> Strata:
    """Strata for a sample of about so many rows in all, of each stratum about as many.

    Half of the strata halve the rows below the median again and again, the others those above: the
    outermost holds the 2^-(strata / 2) of the rows that lie farthest out.

    Raises `InvalidInput` for no rows, less than a row per stratum, or an odd number of strata.

    >>> from gmm_core.squashing.grid import Grid
    >>> cells = Cells.of(np.arange(1024.0), Grid.of_sample(np.arange(1024.0)))
    >>> strata_of(cells, 64, strata=4).probability
    (0.0625, 0.0625, 0.0625, 0.0625)
    """
    if strata < 2 or strata % 2:
        raise InvalidInput("strata", got=strata, bound="even, 2 or more")
    if rows < strata or not len(cells):
        raise InvalidInput("rows of a stratified sample", got=rows, bound=f"at least {strata}")
    upto = np.cumsum(cells.weight) / cells.rows
    tails = 2.0 ** -np.arange(1, strata // 2 + 1)
    ranks = np.unique(np.concatenate([tails, 1 - tails]))
    last = np.unique(np.searchsorted(upto, ranks))
    last = last[last < len(cells) - 1]
    borders = cells.minimum[last + 1]
    held = np.diff(np.concatenate([[0.0], upto[last], [1.0]])) * cells.rows
    probability = np.minimum(1.0, rows / len(held) / held)
    return Strata(tuple(borders.tolist()), tuple(probability.tolist()))
