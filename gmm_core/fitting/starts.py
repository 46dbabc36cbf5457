"""Starts: several of them, the best of which is kept, and where EM begins when none is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import BlockmixError, FitFailed
from gmm_core.fitting.estep import Parameters
from gmm_core.fitting.loop import State, Task, run
from gmm_core.fitting.narrowing import narrow_start, narrowed
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start
from gmm_core.gaussian import CovarianceKind

__all__ = ["Begin", "best_of", "cold", "ended", "generators", "none_usable", "sample_size"]

S = TypeVar("S")
T = TypeVar("T")
Begin = Callable[[Rows, int, CovarianceKind, Array, "np.random.Generator"], Parameters]
"""Starting parameters of k components from rows; as `cold_start` is called."""

_SAMPLE = 16_384  # rows at least
_SAMPLE_PER_VALUE = 20  # rows per mean and deviation that a fit estimates
_WORTH_SAMPLING = 4  # times fewer rows
_FINER = 3.0  # times the tolerance to which EM goes on the sample: each step left costs more later
_WIDER = 2  # times the components, from which a start is narrowed
_NARROWED, _PER_VALUE = 4_096, 5  # rows on which that is done, or so many per mean and deviation
_ENOUGH = 64  # rows a component, without which it is not done
_BEGUN, _LEAST = 2, 64  # times fewer rows for k-means, but that many a component


def best_of(starts: Iterable[S], attempt: Callable[[S], T], worth: Callable[[T], float]) -> T:
    """The outcome of `attempt` that is worth most, the first of equals; starts may fail.

    Raises the last failure when all of them do.

    >>> best_of([2, 3, 1], lambda start: start * 10, float)
    30
    """
    best: tuple[float, T] | None = None
    failure: BlockmixError | None = None
    for start in starts:
        try:
            found = attempt(start)
        except BlockmixError as error:  # another start may still succeed
            failure = error
            continue
        value = worth(found)
        if best is None or value > best[0]:
            best = value, found
    if best is None:
        raise failure or FitFailed("no start was made", remedy="give one at least")
    return best[1]


def none_usable(k: int, starts: int, failure: BlockmixError, remedy: str) -> FitFailed:
    """What to raise when `best_of` so many starts raised `failure`."""
    return FitFailed(
        f"no usable mixture of {k} components in {starts} starts; the last failed because "
        f"{failure.problem}",
        remedy=remedy,
    )


def generators(seed: int, starts: int, first: T | None = None) -> list[T | np.random.Generator]:
    """A random generator for each start; in place of the first what is given, if anything."""
    sources = np.random.SeedSequence(seed).spawn(starts)
    begins: list[T | np.random.Generator] = [np.random.default_rng(one) for one in sources]
    return begins if first is None else [first, *begins[1:]]


def sample_size(least: int, k: int, d: int) -> int:
    """Rows that say enough of k components in d features; `least` at least."""
    return max(least, _SAMPLE_PER_VALUE * k * (d + 1))


def ended(
    task: Task,
    start: Parameters | np.random.Generator,
    fewest: int,
    begin: Begin = cold_start,
) -> State:
    """How EM ends from parameters, or from nothing; with `fewest` components where more do not pay."""
    if isinstance(start, Parameters):
        return run(task, start) if fewest == task.k else narrowed(task, start, fewest)
    few = replace(task, k=fewest)
    if fewest < task.k:
        wide = cold(task, start, begin, wide=True)
        try:
            return narrowed(task, wide, fewest)
        except BlockmixError:  # more components than the rows can carry
            pass
    return run(few, cold(few, start, begin))


def cold(
    task: Task, rng: np.random.Generator, begin: Begin = cold_start, *, wide: bool = False
) -> Parameters:
    """Where EM starts from nothing: k-means, narrowed from more components unless they are `wide` already.

    With many rows EM then goes ahead on a sample: an iteration there costs a small part of one over all
    rows, and most of the way to the optimum is the same on both.
    """
    started = _wide if wide else _narrow
    size = sample_size(_SAMPLE, task.k, task.rows.n_features)
    if len(task.rows) < _WORTH_SAMPLING * size:
        return started(task, rng, begin)
    sample = task.rows.sample(size, rng)
    part = replace(task, rows=sample, rule=None, tol=task.tol / _FINER)
    try:
        return run(part, started(part, rng, begin)).parameters
    except BlockmixError:  # a sample may lack what all rows have
        return _k_means(task, rng, begin)


def _k_means(task: Task, rng: np.random.Generator, begin: Begin) -> Parameters:
    return begin(task.rows, task.k, task.kind, task.added, rng)


def _wide(task: Task, rng: np.random.Generator, begin: Begin) -> Parameters:
    """k-means on part of the rows, where there are enough: EM on all of them follows."""
    size = max(len(task.rows) // _BEGUN, _LEAST * task.k)
    if size >= len(task.rows):
        return _k_means(task, rng, begin)
    try:
        return _k_means(replace(task, rows=task.rows.sample(size, rng)), rng, begin)
    except BlockmixError:  # the rows are in few places, and these in fewer
        return _k_means(task, rng, begin)


def _narrow(task: Task, rng: np.random.Generator, begin: Begin) -> Parameters:
    """k-means with more components on some of the rows, narrowed; with k where rows are too few for that.

    And with one feature: there it was as often worse as better.
    """
    k, many, d = _WIDER * task.k, len(task.rows), task.rows.n_features
    size = max(_NARROWED, _ENOUGH * k, _PER_VALUE * k * (d + 1))
    if task.k == 1 or d == 1 or many < _ENOUGH * k:
        return _k_means(task, rng, begin)
    part = replace(task, rows=task.rows if many <= size else task.rows.sample(size, rng))
    try:
        return narrow_start(part, _wide(replace(part, k=k), rng, begin))
    except BlockmixError:  # rows in fewer places than components, or too flat to merge
        return _k_means(task, rng, begin)
