"""Starts of variational Bayes: the best of several ascents, and where one begins when nothing is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gmm_core.errors import BlockmixError
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start
from gmm_core.fitting.starts import best_of, none_usable, sample_size
from gmm_core.variational.ascent import Problem, State, after
from gmm_core.variational.column import climb
from gmm_core.variational.normal_wishart import Prior

__all__ = ["best_ascent", "pooled"]

_SAMPLE = 65_536  # rows at least that k-means sees
_COARSE = 256  # cells: most of the way is gone on so many, at a small part of the cost
_WORTH_POOLING = 4  # times fewer cells


def best_ascent(problem: Problem, prior: Prior, starts: list[State | np.random.Generator]) -> State:
    """The highest lower bound over these starts; a generator finds its own."""

    def outcome(start: State | np.random.Generator) -> State:
        state = start if isinstance(start, State) else _cold(problem, prior, start)
        return climb(problem, prior, state)

    try:
        return best_of(starts, outcome, lambda state: state.bound)
    except BlockmixError as error:
        remedy = "give covariance_prior, or raise reg_covar (the regularisation)"
        raise none_usable(problem.k, len(starts), error, remedy) from error


def _cold(problem: Problem, prior: Prior, rng: np.random.Generator) -> State:
    """From the groups that k-means finds in the rows, or in a sample of many.

    Where rows are cells of one feature, from an ascent over fewer and wider ones: these have the same
    moments, so that their optimum lies next to that of all.
    """
    rows, k, kind = problem.rows, problem.k, problem.kind
    if rows.within is not None and len(rows) >= _WORTH_POOLING * _COARSE:
        coarse = replace(problem, rows=pooled(rows, _COARSE), watch=None)
        return State(climb(coarse, prior, _cold(coarse, prior, rng)).posterior)
    size = sample_size(_SAMPLE, k, rows.n_features)
    part = rows if len(rows) <= size else rows.sample(size, rng)
    return after(problem, prior, cold_start(part, k, kind, problem.added, rng).joint(kind))


def pooled(rows: Rows, n: int) -> Rows:
    """Ascending cells of one feature as `n` of as many neighbours each, moments kept.

    Weights are summed: their mean is no longer 1.
    """
    first = np.linspace(0, len(rows), n + 1)[:-1].astype(np.int64)
    sizes = np.diff(np.append(first, len(rows)))
    values, inner = rows.values[:, 0], np.zeros(len(rows)) if rows.within is None else rows.within
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    total = np.add.reduceat(weight, first)
    away = values - np.repeat(values[first], sizes)
    shift = np.add.reduceat(weight * away, first) / total
    square = inner + np.square(away - np.repeat(shift, sizes))
    within = np.add.reduceat(weight * square, first) / total
    return replace(rows, values=(values[first] + shift)[:, None], weight=total, within=within)
