"""Levels: what a categorical feature can be. Codes in rows, tables in components, shares in blocks.

A categorical feature of m levels stands in rows as a code, 0 to m - 1, and in each component of a mixture as
m probabilities: features are independent given the component. Tables of several features stand
*side by side*, as one array whose columns are all levels of all features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, frozen_array
from gmm_core.errors import InvalidInput

__all__ = [
    "Codes",
    "LevelShares",
    "as_codes",
    "as_tables",
    "first_columns",
    "level_logs",
    "tables_of",
]

Codes = NDArray[np.intp]
"""(n, q) columns of the levels of n rows, in tables side by side."""

_SUM_SLACK = 1e-9


def first_columns(sizes: Sequence[int]) -> NDArray[np.intp]:
    """(q,) where each feature's levels begin when tables stand side by side.

    >>> first_columns((2, 3, 2)).tolist()
    [0, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)


def as_codes(values: NDArray[Any], sizes: Sequence[int]) -> Codes:
    """Codes (n, q) of features with so many levels, as columns of tables side by side.

    Raises `InvalidInput` for what is no whole number from 0 to m - 1, naming the first.

    >>> as_codes(np.array([[0.0, 1.0], [1.0, 2.0]]), (2, 3)).tolist()
    [[0, 3], [1, 4]]
    """
    codes = values.astype(np.intp)
    bad = np.argwhere((codes != values) | (codes < 0) | (codes >= np.asarray(sizes, np.intp)))
    if len(bad):
        row, feature = bad[0].tolist()
        raise InvalidInput(
            f"codes of levels: {len(bad)} are none, the first in row {row}, categorical feature "
            f"{feature}",
            got=float(values[row, feature]),
            bound=f"whole numbers from 0 to {sizes[feature] - 1}",
        )
    return codes + first_columns(sizes)


def as_tables(tables: Sequence[ArrayLike], k: int) -> tuple[Array, ...]:
    """Probabilities of levels, read-only, (k, m) for each feature; raises `InvalidInput`.

    >>> as_tables([[[0.25, 0.75]]], 1)[0].tolist()
    [[0.25, 0.75]]
    """
    checked = []
    for feature, given in enumerate(tables):
        name = f"level_probabilities of categorical feature {feature}"
        table = frozen_array(given, name, (k, None))
        if table.shape[1] < 2:
            raise InvalidInput(name, got=table.shape, bound="two levels or more")
        if not (table > 0).all():
            raise InvalidInput(
                name,
                got=float(table.min()),
                bound="every probability above 0",
                remedy="fit with smoothing, or give impossible levels a tiny probability",
            )
        sums = table.sum(axis=1)
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > _SUM_SLACK:
            raise InvalidInput(
                f"{name} do not sum to one in component {worst}",
                got=float(sums[worst]),
                bound="1",
                remedy="divide them by their sum",
            )
        checked.append(table)
    if not checked:
        raise InvalidInput(
            "a mixed mixture needs categorical features",
            got=0,
            bound="1 or more",
            remedy="use Mixture",
        )
    return tuple(checked)


def tables_of(levels: Array, sizes: Sequence[int]) -> tuple[Array, ...]:
    """Tables side by side (k, m) as one (k, m_f) per feature, each row made to sum to 1.

    >>> [table.tolist() for table in tables_of(np.array([[1.0, 3.0, 2.0, 2.0]]), (2, 2))]
    [[[0.25, 0.75]], [[0.5, 0.5]]]
    """
    parts = np.split(levels, first_columns(sizes)[1:], axis=1)
    return tuple(part / part.sum(axis=1, keepdims=True) for part in parts)


def level_logs(table: Array, codes: Codes) -> Array:
    """(n, k) sum over the features of what `table` (k, m) says of each row's level.

    >>> level_logs(np.array([[1.0, 2.0, 4.0, 8.0]]), np.array([[0, 2], [1, 3]])).tolist()
    [[5.0], [10.0]]
    """
    turned = np.ascontiguousarray(table.T)
    result: Array = turned[codes[:, 0]]
    for feature in range(1, codes.shape[1]):
        result += turned[codes[:, feature]]
    return result


@dataclass(frozen=True, eq=False)
class LevelShares:
    """Shares of the levels of one categorical feature in the rows of a block.

    Parameters
    ----------
    shares : (m,) of the block's own rows, sum 1.
    added : (m,) what the fit added by smoothing, sum 0: the mixture's shares less this are the
        block's own. As `BlockSummary.regularisation` is for variances.
    """

    shares: Array
    added: Array

    def __post_init__(self) -> None:
        shares = frozen_array(self.shares, "shares of levels", (None,))
        added = frozen_array(self.added, "shares of levels that a fit added", shares.shape)
        if (shares < 0).any() or abs(shares.sum() - 1) > _SUM_SLACK:
            raise InvalidInput("shares of levels", got=shares.tolist(), bound="0 or more, sum 1")
        if abs(added.sum()) > _SUM_SLACK:
            raise InvalidInput(
                "shares of levels that a fit added", got=added.tolist(), bound="sum 0"
            )
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "added", added)

    @property
    def smoothed(self) -> Array:
        """(m,) shares that a mixture of the rows has."""
        return self.shares + self.added

    @classmethod
    def pooled(cls, parts: Sequence[LevelShares], share: Array) -> LevelShares:
        """Of the rows of several blocks, each with its share (b,) of them."""
        return cls(
            share @ np.stack([part.shares for part in parts]),
            share @ np.stack([part.added for part in parts]),
        )


def level_shares_of(
    codes: NDArray[Any], sizes: Sequence[int], smoothing: float
) -> tuple[LevelShares, ...]:
    """Of each categorical feature of rows with these codes (n, q), fitted with such a smoothing.

    >>> [one] = level_shares_of(np.array([[0.0], [0.0], [1.0], [0.0]]), (2,), 0.1)
    >>> one.shares.tolist(), one.smoothed.round(3).tolist()
    ([0.75, 0.25], [0.725, 0.275])
    """
    found = []
    for column, size in zip(codes.T, sizes, strict=True):
        shares = np.bincount(column.astype(np.intp), minlength=size) / len(column)
        found.append(LevelShares(shares, smoothing * (1 / size - shares)))
    return tuple(found)
