"""Answers by the compiled kernel: what `gmm_core.mixture` says of many rows, some ten times faster.

Loaded by name from `gmm_core.evaluation`, which also says when: a served model does not carry it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.fitting.estep import Joint
from gmm_core.fitting.threads import on_threads

__all__ = ["answers"]

_PART = 8_192  # rows that a thread takes at a time
_BIT = float(np.log(2))  # nats


def answers(
    rows: NDArray[np.floating], joint: Joint, *, shares: bool = False
) -> tuple[Array, NDArray[np.int64], Array]:
    """Log-densities (n,) in nats, likeliest components (n,), and with `shares` logs of all shares (n, k).

    Agrees with the plain code to rounding, but for rows whose log-density is NaN or below -1e200: those
    are not meant to be told here.
    """
    from gmm_core.kernels.answers import diag_answers, full_answers

    n, (k, d) = len(rows), joint.means.shape
    full = joint.whiteners.ndim == 3 and d > 1
    kernel, model = (full_answers if full else diag_answers), _model(joint, full)
    log_prob, component = np.empty(n), np.empty(n, np.int64)
    logs = np.empty((n if shares else 0, k))

    def work(index: int) -> None:
        part = slice(index * _PART, min((index + 1) * _PART, n))
        values = np.array(rows[part], dtype=np.float64, order="C", copy=None)
        if not values.flags.writeable:
            values = values.copy()  # the only layout that is compiled for
        own = logs[part] if shares else logs
        kernel(values.reshape(-1), d, model, log_prob[part], component[part], own.reshape(-1))

    on_threads(work, -(-n // _PART))
    return log_prob, component, logs


def _model(joint: Joint, full: bool) -> tuple[Array, Array, Array]:
    """Whiteners, means and offsets as the kernels lay them out."""
    from gmm_core.kernels.tiles import padded

    k, d = joint.means.shape
    means = np.zeros((k, padded(d + 1, np.float64)))
    means[:, :d] = joint.means
    even = d + d % 2
    whiteners = joint.whiteners.reshape(k, -1)[:, :d]
    if full:
        whiteners = np.zeros((k, even, even))
        whiteners[:, :d, :d] = joint.whiteners
    flat = np.array(whiteners, dtype=np.float64, order="C").reshape(-1)
    return flat, means.reshape(-1), joint.offsets / _BIT
