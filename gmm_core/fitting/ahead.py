"""Ahead: the ordinary steps of EM over few rows, several at once, in compiled code.

Up to some thousand rows the calls around a step take longer than its arithmetic. The numbers are those
of `gmm_core.fitting.loop`, to rounding; whatever needs judgement is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.extras import optional
from gmm_core.fitting.compiled import compiled_kernel, in_one_piece, piece_of
from gmm_core.fitting.estep import Kernel, Parameters, Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind

__all__ = ["Ahead", "goes_ahead", "steps_ahead"]


@dataclass(frozen=True)
class Ahead:
    """Where some steps led.

    Parameters
    ----------
    states : parameters, and the statistics of the E-step under them, of the last step but one, if
        any, and of the last.
    trace : log-likelihood per row after each step.
    """

    states: tuple[tuple[Parameters, Statistics], ...]
    trace: tuple[float, ...]


def goes_ahead(kernel: Kernel, rows: Rows, kind: CovarianceKind) -> bool:
    """Whether there is compiled code for these rows: few, and components of a width of their own."""
    own = kind.name in ("full", "diag")
    return own and kernel is compiled_kernel and in_one_piece(rows)


def steps_ahead(
    rows: Rows,
    start: Statistics,
    likelihood: float,
    *,
    added: Array,
    tol: float,
    most: int,
    empty: float,
) -> Ahead | None:
    """Steps from statistics on, `most` at most, up to one that gains less than `tol`.

    Parameters
    ----------
    start, likelihood : statistics, and their log-likelihood per row.
    added : (d,) variance that an M-step adds.
    empty : weight below which a component is empty.

    `None` where already the first step is out of the ordinary: a component is empty or has no width,
    or only the reference kernel is precise.
    """
    flat = np.concatenate([start.weight, start.mean.ravel(), start.scatter.ravel()])
    parameters, statistics = np.empty((2, flat.size)), np.empty((2, flat.size))
    statistics[0], trace = flat, np.empty(most + 1)
    trace[0] = likelihood
    k, full = len(start.weight), start.scatter.ndim == 3
    steps, side = _taken(rows, k, full, empty, (added, tol), (parameters, statistics, trace))
    if not steps:
        return None
    states = tuple(
        _state(parameters[one], statistics[one], float(trace[at]), start)
        for one, at in ((1 - side, steps - 1), (side, steps))
        if at
    )
    return Ahead(states, tuple(trace[1 : steps + 1].tolist()))


def _taken(
    rows: Rows,
    k: int,
    full: bool,
    empty: float,
    rule: tuple[Array, float],
    states: tuple[Array, ...],
) -> tuple[int, int]:
    """How many steps were made, and the side of `states` that holds the last."""
    d, kind = rows.n_features, rows.values.dtype
    full = full and d > 1
    even, size = d + d % 2, d + 1 + (d + 1) % 2
    between = optional("gmm_core.kernels.steps", "Compiled kernels", "numba").between
    spans = optional("gmm_core.kernels.spans", "Compiled kernels", "numba")
    span = spans.full_span if full else spans.diag_span
    given, (least, nothing, *bounds) = piece_of(rows)
    model = (
        np.zeros(k * even * even if full else k * d, kind),
        np.zeros(k * even if full else k * d, kind),
        np.zeros(k, kind),
        np.zeros(k * len(given[-1][0]), kind),
        kind.type(nothing),
    )
    room = np.zeros(d * d + d), np.zeros(k * d * d if full else k * d)
    ends, at = np.zeros(2), np.zeros(3, np.int64)
    moments = np.zeros(k * size * size if full else k * (1 + 2 * even))
    limit, limits, first = kind.type(least), (empty, *bounds), True
    while between(first, full, d, limits, *rule, *room, model, moments, ends, *states, at):
        span(*given, model, limit, bool(at[2]), moments, ends)
        first = False
    return int(at[0]), int(at[1])


def _state(
    parameters: Array, statistics: Array, likelihood: float, like: Statistics
) -> tuple[Parameters, Statistics]:
    found = _parts(statistics, like)
    total = float(found[0].sum())
    return Parameters(*_parts(parameters, like)), Statistics(likelihood * total, *found)


def _parts(flat: Array, like: Statistics) -> tuple[Array, Array, Array]:
    """Weights, means and matrices or variances of a row of numbers."""
    k, d = like.mean.shape
    rest = k + k * d
    means, widths = flat[k:rest].reshape(k, d), flat[rest:].reshape(like.scatter.shape)
    return flat[:k], means, widths
