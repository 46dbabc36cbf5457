"""Tiles: as many rows as the first-level cache holds, standardised and turned.

Turned: one vector holds one feature of several rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled
from gmm_core.kernels.turns import transpose
from gmm_core.kernels.vectors import load, step_to

__all__ = ["bring", "copy_rows", "lanes", "padded", "tile_rows", "weigh"]


_MOST_ROWS = 224  # of a tile
_CACHE = 32_768  # bytes of a tile's rows: the first-level cache of small processors


def lanes(dtype: Any) -> int:
    """Numbers in a vector."""
    return VECTOR_BYTES // int(np.dtype(dtype).itemsize)


def padded(count: int, dtype: Any) -> int:
    """`count` rounded up to whole vectors."""
    return -(-count // lanes(dtype)) * lanes(dtype)


@compiled
def tile_rows(width, itemsize):
    """Rows of a tile: a multiple of 32, four vectors of float32."""
    return min(_MOST_ROWS, max(32, _CACHE // (width * itemsize) // 32 * 32))


@compiled
def bring(source, at, d, scaling, T, turned, into):
    """T rows from `source[at]` on, standardised and turned, followed by 1, to `turned[into]` on."""
    L = VECTOR_BYTES // source.itemsize
    shift, inverse, ones = scaling
    for j in range(0, len(shift), L):
        less, times, plus = load(shift, j), load(inverse, j), load(ones, j)
        t, to = 0, at + j
        while t < T:
            transpose(turned, into + j * T + t, T, source, to, d, less, times, plus)
            to += L * d
            t = step_to(t + L)


@compiled
def weigh(given, first, count, size, weight):
    """Weights of `size` rows of which only `count` exist; the others weigh nothing.

    Returns whether all weigh 1.
    """
    for t in range(count if len(given) else 0):
        weight[t] = given[first + t]
    for t in range(count, size):
        weight[t] = 0
    return len(given) == 0 and count == size


@compiled
def copy_rows(values, at, spare):
    """The rows from `values[at]` on at the start of `spare`, which has room behind them.

    Vectors read past the end of a row: the last rows must be where they may.
    """
    left = len(values) - at
    for i in range(left):
        spare[i] = values[at + i]
    for i in range(left, len(spare)):
        spare[i] = 0
