"""Ahead: the ordinary steps of EM over few rows, several at once, in compiled code.

Up to some thousand rows the calls around a step take longer than its arithmetic. The numbers are those
of `gmm_core.fitting.loop`, to rounding; whatever needs judgement is left to it.

Steps near the end go much the same way, ever shorter. Where asked to, every third is *extrapolated*:
with s0, s1, s2 the sums (weights, first and second moments) that two steps led through, r = s1 - s0 and
v = s2 - s1 - r, EM goes on from s0 + 2 a r + a^2 v, where a = |r| / |v| (SQUAREM, Varadhan and Roland
2008, their third step length), unless that lowers the log-likelihood or is no mixture. Sums add up to
those of all rows whatever a is: mean and covariance stay those of the rows. What ends EM is a plain step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.extras import optional
from gmm_core.fitting.compiled import compiled_kernel, in_one_piece, piece_of
from gmm_core.fitting.estep import Kernel, Parameters, Statistics
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind

__all__ = ["Ahead", "goes_ahead", "steps_ahead"]

_WORTH = 2_000_000  # rows times parameters: with fewer, going far costs more than it spares
_FAR = 4.0  # how far extrapolation goes at first; further by as much where that proves good


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
    extrapolate: bool = False,
) -> Ahead | None:
    """Steps from statistics on, `most` at most, up to one that gains less than `tol`.

    Parameters
    ----------
    start, likelihood : statistics, and their log-likelihood per row.
    added : (d,) variance that an M-step adds.
    empty : weight below which a component is empty.
    extrapolate : whether some steps may be, where that pays; one that is not taken is not counted.

    `None` where already the first step is out of the ordinary: a component is empty or has no width,
    or only the reference kernel is precise.
    """
    flat = np.concatenate([start.weight, start.mean.ravel(), start.scatter.ravel()])
    way = _Way(np.empty((2, flat.size)), np.empty((2, flat.size)), np.empty(most + 1))
    way.statistics[0], way.trace[0] = flat, likelihood
    passes = _Passes(rows, len(start.weight), start.scatter.ndim == 3, empty, added, tol)
    if extrapolate and len(rows) * flat.size >= _WORTH:
        _far(passes, way, start)
    else:
        passes.go(way, most)
    steps, side = int(way.at[0]), int(way.at[1])
    if not steps:
        return None
    states = tuple(
        _state(way.parameters[one], way.statistics[one], float(way.trace[at]), start)
        for one, at in ((1 - side, steps - 1), (side, steps))
        if at
    )
    return Ahead(states, tuple(way.trace[1 : steps + 1].tolist()))


@dataclass(frozen=True)
class _Way:
    """What `gmm_core.kernels.steps` keeps of the steps; it starts from side 0 of `statistics`."""

    parameters: Array
    statistics: Array
    trace: Array
    at: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))


class _Passes:
    """Steps over the same rows, and the arrays that all of them write to."""

    def __init__(
        self, rows: Rows, k: int, full: bool, empty: float, added: Array, tol: float
    ) -> None:
        d, kind = rows.n_features, rows.values.dtype
        self.tol = tol
        full = full and d > 1
        even, size = d + d % 2, d + 1 + (d + 1) % 2
        self._between = optional("gmm_core.kernels.steps", "Compiled kernels", "numba").between
        spans = optional("gmm_core.kernels.spans", "Compiled kernels", "numba")
        self._span = spans.full_span if full else spans.diag_span
        self._given, (least, nothing, *bounds) = piece_of(rows)
        self._model = (
            np.zeros(k * even * even if full else k * d, kind),
            np.zeros(k * even if full else k * d, kind),
            np.zeros(k, kind),
            np.zeros(k * len(self._given[-1][0]), kind),
            kind.type(nothing),
        )
        room = np.zeros(d * d + d), np.zeros(k * d * d if full else k * d)
        moments = np.zeros(k * size * size if full else k * (1 + 2 * even))
        self._fixed = (full, d, (empty, *bounds), added, tol, *room)
        self._sums = moments, np.zeros(2)
        self._limit = kind.type(least)

    def go(self, way: _Way, most: int) -> None:
        """Steps until `most` are made in all, one gains less than the tolerance or is out of the ordinary."""
        states = way.parameters, way.statistics, way.trace[: most + 1], way.at
        first = True
        while self._between(first, *self._fixed, self._model, *self._sums, *states):
            self._span(*self._given, self._model, self._limit, bool(way.at[2]), *self._sums)
            first = False


def _far(passes: _Passes, way: _Way, like: Statistics) -> None:
    """Steps as `_Passes.go` makes them, every third extrapolated where that is good."""
    most, furthest = len(way.trace) - 1, _FAR
    size = way.statistics.shape[1]
    trial = _Way(np.empty((2, size)), np.empty((2, size)), np.full(2, -np.inf))
    while (made := int(way.at[0])) < most:
        s0 = _sums(way.statistics[way.at[1]], like)
        passes.go(way, min(made + 2, most))
        now, side = int(way.at[0]), int(way.at[1])
        if now < made + 2 or not way.trace[now] - way.trace[now - 1] >= passes.tol:
            return
        if now + 1 >= most:  # the last one is to be plain
            continue
        s1, s2 = (_sums(way.statistics[one], like) for one in (1 - side, side))
        r = s1 - s0
        v = s2 - s1 - r
        a = min(float(np.linalg.norm(r)) / max(float(np.linalg.norm(v)), 1e-150), furthest)
        if not a > 1:
            continue
        trial.statistics[0] = _moments(s0 + 2 * a * r + a * a * v, like)
        trial.at[:] = 0
        passes.go(trial, 1)
        if trial.at[0] and trial.trace[1] >= way.trace[now]:
            way.at[0], way.at[1] = now + 1, 1 - side
            way.trace[now + 1] = trial.trace[1]
            way.parameters[1 - side], way.statistics[1 - side] = (
                trial.parameters[1],
                trial.statistics[1],
            )
            furthest *= _FAR if a == furthest else 1.0
        else:
            furthest = max(furthest / 2, 1.0)


def _sums(statistics: Array, like: Statistics) -> Array:
    """Weights, first and second moments about 0, as a row of numbers."""
    weight, mean, scatter = _parts(statistics, like)
    first = weight[:, None] * mean
    second = first[:, :, None] * mean[:, None, :] if scatter.ndim == 3 else first * mean
    return np.concatenate([weight, first.ravel(), (scatter + second).ravel()])


def _moments(sums: Array, like: Statistics) -> Array:
    """The opposite of `_sums`; a component of no weight has a weight of 0, which no step takes."""
    weight, first, second = _parts(sums, like)
    mean = first / np.where(weight > 0, weight, 1.0)[:, None]
    between = first[:, :, None] * mean[:, None, :] if second.ndim == 3 else first * mean
    return np.concatenate([np.maximum(weight, 0.0), mean.ravel(), (second - between).ravel()])


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
