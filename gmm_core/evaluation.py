"""Evaluation in chunks of rows: what an answer needs beside itself does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array

__all__ = ["in_chunks"]

# Rows: what a chunk needs stays in the cache, and its products are too small for threads of BLAS,
# which cost more than they bring.
_CHUNK = 2_048


def in_chunks(rows: NDArray[Any], answer: Callable[[Array], NDArray[Any]]) -> NDArray[Any]:
    """`answer(rows)`, asked for a chunk of rows (m, d) float64 at a time.

    Parameters
    ----------
    rows : (n, d) float32 or float64; float32 is widened a chunk at a time.
    answer : from rows (m, d) to an array whose first axis is theirs.

    >>> in_chunks(np.array([[1, 2], [3, 4]], np.float32), lambda part: part.sum(axis=1)).tolist()
    [3.0, 7.0]
    """
    first = answer(rows[:_CHUNK].astype(np.float64, copy=False))
    if len(rows) <= _CHUNK:
        return first
    result = np.empty((len(rows), *first.shape[1:]), first.dtype)
    result[:_CHUNK] = first
    for start in range(_CHUNK, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = answer(rows[part].astype(np.float64, copy=False))
    return result
