"""Starts: several of them, the best of which is kept, and where EM begins when none is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import BlockmixError, FitFailed
from gmm_core.fitting.estep import Parameters
from gmm_core.fitting.loop import State, Task, go_on, run
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start
from gmm_core.gaussian import CovarianceKind

__all__ = ["Begin", "best_of", "cold", "generators", "none_usable", "sample_size"]

S = TypeVar("S")
T = TypeVar("T")
Begin = Callable[[Rows, int, CovarianceKind, Array, "np.random.Generator"], Parameters]
"""Starting parameters of k components from rows; as `cold_start` is called."""

_SAMPLE = 16_384  # rows at least
_SAMPLE_PER_VALUE = 20  # rows per mean and deviation that a fit estimates
_WORTH_SAMPLING = 4  # times fewer rows
_FINER = 3.0  # times the tolerance to which EM goes on the sample: each step left costs more later
_TRIALS, _BEST = 6, 2  # that are begun, and that go on
_STEPS, _MORE_STEPS = 4, 4  # that each of them makes
_COMPARED = 4  # times fewer rows than the sample's, on which they make them
_BEGUN = 2  # times fewer again, from which each is begun; but where there are, so many a component:
_PER_COMPONENT = 64


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


def cold(task: Task, rng: np.random.Generator, begin: Begin = cold_start) -> Parameters:
    """Where EM starts from nothing: k-means; with many rows the best of some trials on parts of a sample.

    EM then goes ahead on the sample: an iteration there costs a small part of one over all rows, and
    most of the way to the optimum is the same on both.
    """
    of_all = (task.k, task.kind, task.added)
    size = sample_size(_SAMPLE, task.k, task.rows.n_features)
    if len(task.rows) < _WORTH_SAMPLING * size:
        return begin(task.rows, *of_all, rng)
    sample = task.rows.sample(size, rng)
    part = replace(task, rows=sample, rule=None, tol=task.tol / _FINER)
    try:
        return run(part, _best_begun(part, rng, begin)).parameters
    except BlockmixError:  # a sample may lack what all rows have
        return begin(task.rows, *of_all, rng)


def _best_begun(part: Task, rng: np.random.Generator, begin: Begin) -> Parameters:
    """Where the best of some trials came to.

    Each is begun from rows of its own: they differ more. All make some steps over the same rows, and the
    better ones some more.
    """
    few = part.rows.sample(len(part.rows) // _COMPARED, rng)
    trial = replace(part, rows=few, tol=0.0, max_iter=_STEPS)
    size = min(max(len(few) // _BEGUN, _PER_COMPONENT * part.k), len(few))

    def begun(own: np.random.Generator) -> tuple[Task, State]:
        # Rows of its own for each: what E-steps learn of theirs is no other's.
        mine = replace(trial, rows=replace(few))
        rows = part.rows.sample(size, own)
        return mine, run(mine, begin(rows, part.k, part.kind, part.added, own))

    def further(trial: tuple[Task, State]) -> tuple[Task, State]:
        task, state = trial
        return task, go_on(replace(task, max_iter=_STEPS + _MORE_STEPS), state)

    # One after the other: on threads, arrays so small would wait for Python's lock longer than they save.
    trials = list(_succeeding(begun, rng.spawn(_TRIALS)))
    if not trials:
        raise FitFailed("no trial on a sample gave a mixture", remedy="begin from all rows")
    better = sorted(trials, key=_worth)[-_BEST:]
    # Should neither of them go on, the best of all as it was.
    return max([*_succeeding(further, better), *trials], key=_worth)[1].parameters


def _succeeding(attempt: Callable[[S], T], starts: Iterable[S]) -> Iterator[T]:
    """What came of each start that did not fail."""
    for start in starts:
        try:
            outcome = attempt(start)
        except BlockmixError:  # another start may still succeed
            continue
        yield outcome


def _worth(trial: tuple[Task, State]) -> float:
    return trial[1].log_likelihood
