"""Reach: which components a part of the rows can belong to, known before any of them is read.

Rows of one feature in order have neighbours near one another: most components are then so far from
a part of them that their shares in it are below rounding, and need not be computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gmm_core.fitting.estep import Joint
from gmm_core.fitting.rows import RANGE, Rows

__all__ = ["in_order", "within_reach"]

_MOST_BYTES = 1 << 25  # of a copy
_NOTHING = 37.0  # nats: a share of e^-37, beside one of at least 1 / k, changes no digit


def in_order(rows: Rows) -> Rows:
    """The rows of one feature, ascending, which makes the compiled kernel faster; others as given.

    So are rows of which a sorted copy would take more memory than a fit may.
    """
    if rows.n_features > 1 or rows.values.nbytes > _MOST_BYTES:
        return rows
    if rows.weight is None and rows.within is None:
        return replace(rows, values=np.sort(rows.values, axis=0))
    return rows.part(np.argsort(rows.values[:, 0], kind="stable"))


def within_reach(rows: Rows, joint: Joint, spans: Sequence[slice]) -> NDArray[np.bool_]:
    """(spans, k) whether a component may have a share in a span that is worth computing.

    The best that a component can do in a span is its log joint at the value next to its mean, the
    worst that at the far end; what the best component has at worst, each row's normaliser has at
    least. All are in reach where there are more features.
    """
    k, d = joint.means.shape
    if d > 1:
        return np.ones((len(spans), k), dtype=np.bool_)
    least, largest = rows.ranges
    blocks = [slice(span.start // RANGE, -(-span.stop // RANGE)) for span in spans]
    low = np.array([least[block].min() for block in blocks])[:, None]
    high = np.array([largest[block].max() for block in blocks])[:, None]
    mean, white = joint.means[:, 0], joint.whiteners.reshape(k)
    best = joint.offsets - 0.5 * np.square(white * (np.clip(mean, low, high) - mean))
    far = np.maximum(np.abs(low - mean), np.abs(high - mean))
    worst = joint.offsets - 0.5 * np.square(white * far)
    reach: NDArray[np.bool_] = ~(best < worst.max(axis=1, keepdims=True) - _NOTHING)
    return reach
