"""Tiles: as many rows as the first-level cache holds, standardised and turned.

Turned: one vector holds one feature of several rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled
from gmm_core.kernels.turns import transpose
from gmm_core.kernels.vectors import fma, load, splat, step_to, store, sub

__all__ = ["bring_tile", "lanes", "padded", "tile_rows"]


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
def _bring(values, at, rows, d, scaling, width, T, upright, into, turned):
    """Standardise `rows` rows from `values[at]` on, followed by 1; rows beyond them become 0."""
    L = VECTOR_BYTES // values.itemsize
    zero = splat(values.dtype.type(0))
    shift, inverse, ones = scaling
    for j in range(0, width, L):
        less, times, plus = load(shift, j), load(inverse, j), load(ones, j)
        source, target = at + j, into + j
        t = 0
        while t < rows:
            store(upright, target, fma(sub(load(values, source), less), times, plus))
            source += d
            target += width
            t = step_to(t + 1)
        for t in range(rows, T):
            store(upright, into + t * width + j, zero)
    for j in range(0, width, L):
        t = 0
        while t < T:
            transpose(turned, j * T + t, T, upright, into + t * width + j, width)
            t = step_to(t + L)


@compiled
def bring_tile(values, d, given, first, scaling, T, spare, weight, upright, into, turned):
    """Bring the rows from `first` on, at most T, and their weights, to place `into` of a stack."""
    width, rows = len(scaling[0]), min(T, len(values) // d - first)
    for t in range(rows if len(given) else 0):
        weight[into + t] = given[first + t]
    for t in range(rows, T):
        weight[into + t] = 0
    source, at = values, first * d
    if rows < T or len(values) - (first + rows) * d < width:
        # Vectors read past the end of a row: the last rows are copied to where they may.
        for i in range(rows * d):
            spare[i] = values[at + i]
        source, at = spare, 0
    _bring(source, at, rows, d, scaling, width, T, upright, into * width, turned)
