"""Coreset: a uniform sample of a block's rows, kept in its summary where a stream allows it.

Reduction and refinement see a block as its mixture does; some hundred of its own rows say what that
blurs. They are rows of people's data: nothing is kept unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput

__all__ = ["MAX_CORESET", "check_size", "coreset_of", "joined_coreset"]

MAX_CORESET = 10_000


def coreset_of(rows: Array, most: int, seed: int) -> Array:
    """(m, d) float64 rows, `most` at most, each row as likely as any; in the order given.

    The same rows in the same order with the same seed give the same sample. Raises `InvalidInput`
    for a size outside 0 to 10,000.

    >>> coreset_of(np.arange(5.0)[:, None], 2, seed=0).shape
    (2, 1)
    """
    check_size(most)
    return np.ascontiguousarray(_some(rows, min(most, len(rows)), seed), dtype=np.float64)


def joined_coreset(parts: Sequence[Array], rows: Sequence[float], most: int, seed: int) -> Array:
    """A uniform sample of all parts' rows from one of each part.

    Parameters
    ----------
    parts : (m_i, d) coresets, each of `most` rows or of all that its part has.
    rows : rows of each part.
    """
    check_size(most)
    exact = np.asarray(rows) * (min(most, sum(rows)) / sum(rows))
    quotas = np.floor(exact).astype(int)
    # What rounding down left over goes where most was cut off.
    left = round(exact.sum()) - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:left]] += 1
    picked = [
        _some(part, min(quota, len(part)), seed + place)
        for place, (part, quota) in enumerate(zip(parts, quotas, strict=True))
    ]
    return np.concatenate(picked)


def check_size(most: int) -> None:
    """Raises `InvalidInput` for a size outside 0 to `MAX_CORESET`."""
    if not 0 <= most <= MAX_CORESET:
        raise InvalidInput("rows of a coreset", got=most, bound=f"0 to {MAX_CORESET}")


def _some(rows: Array, n: int, seed: int) -> Array:
    if n == 0:
        return rows[:0]
    order = np.random.default_rng(seed).permutation(len(rows))[:n]
    some: Array = rows[np.sort(order)]
    return some
