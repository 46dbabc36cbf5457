"""The loop of expectation maximisation: step, and stop; all in standardised space.

It knows neither how covariances are stored (`CovarianceKind`) nor how the statistics of a chunk are
computed (`Kernel`): either can be exchanged without touching it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.fitting.ahead import Ahead, goes_ahead, steps_ahead
from gmm_core.fitting.background import NOTHING_BEHIND, Background
from gmm_core.fitting.categories import NO_CATEGORIES, Categories
from gmm_core.fitting.estep import Kernel, Parameters, Statistics, worst_explained
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind

__all__ = ["FitStatus", "Rule", "State", "Task", "go_on", "maximisation", "run", "settled", "step"]

_EMPTY = 1e-3  # rows: a component that explains less of the data than this says nothing
_RESEEDS_PER_COMPONENT = 3
_MANY = 8_192  # rows: of fewer, an E-step takes no longer than to foresee what it would gain
_SMALL = 0.1  # of the tolerance


class FitStatus(enum.Enum):
    """How a fit ended; the value is the message for people."""

    CONVERGED = "converged: an iteration gained less than the tolerance, or is foreseen to"
    STOPPED = "stopped: the iteration limit came before the gain fell below the tolerance"


@dataclass(frozen=True)
class Task:
    """What stays the same during a fit.

    Parameters
    ----------
    added : (d,) variance added by every M-step, in standardised units.
    tol, max_iter : when to stop.
    rule : says when a fit has settled; `settled` unless a caller brings another.
    background : what explains the rows that no component does.
    categories : the categorical features, of which the kernel must know too.
    extrapolate : whether steps that are made ahead may be extrapolated (`gmm_core.fitting.ahead`).
    """

    rows: Rows
    k: int
    kind: CovarianceKind
    added: Array
    tol: float
    max_iter: int
    kernel: Kernel
    rule: Rule | None = None
    background: Background = NOTHING_BEHIND
    categories: Categories = NO_CATEGORIES
    extrapolate: bool = False


@dataclass(frozen=True)
class State:
    """Parameters, and the E-step made under them: so `log_likelihood` is their own.

    `complete` says that they came from an E- and M-step over all rows in which no component was
    placed anew. Only then are the mixture's mean and covariance those of the rows, so only then
    may EM end.
    """

    parameters: Parameters
    statistics: Statistics
    log_likelihood: float
    trace: tuple[float, ...] = ()
    reseeded: int = 0
    complete: bool = False
    status: FitStatus | None = None


# From the states before and after a step, the one to end with; `None` to go on.
Rule = Callable[[Task, State, State], State | None]


def run(task: Task, parameters: Parameters) -> State:
    """The loop: from starting parameters to the state in which EM ended."""
    return go_on(task, _state(task, task.background.behind(parameters)))


def go_on(task: Task, state: State) -> State:
    """The loop from a state of the same rows, whose steps count: to its end, where it has none yet."""
    if state.status is None and state.complete and len(state.trace) >= task.max_iter:
        return replace(state, status=FitStatus.STOPPED)
    while state.status is None:
        state = _judged(task, *_onward(task, state))
    return state


def _onward(task: Task, state: State) -> tuple[State, State]:
    """The states before and after the next step that must be judged; others may lie before it."""
    left = task.max_iter - len(state.trace)
    if left > 1 and _plain(task) and goes_ahead(task.kernel, task.rows, task.kind):
        ahead = steps_ahead(
            task.rows,
            state.statistics,
            state.log_likelihood,
            added=task.added,
            tol=task.tol if task.tol > 0 else -np.inf,
            most=left,
            empty=_EMPTY,
            extrapolate=task.extrapolate,
        )
        if ahead is not None:
            return _pair(state, ahead)
    return state, step(task, state)


def _pair(state: State, ahead: Ahead) -> tuple[State, State]:
    trace = (*state.trace, *ahead.trace)
    for back in range(len(ahead.states) - 1, -1, -1):
        parameters, statistics = ahead.states[-1 - back]
        made = trace[: len(trace) - back]
        before, state = (
            state,
            State(parameters, statistics, made[-1], made, state.reseeded, complete=True),
        )
    return before, state


def step(task: Task, state: State) -> State:
    """One M-step, and the E-step under its outcome."""
    parameters, placed = maximisation(task, state)
    reseeded = state.reseeded + placed
    if reseeded > _RESEEDS_PER_COMPONENT * task.k:
        raise FitFailed("components keep running empty", got=reseeded, remedy="lower n_components")
    after = _state(task, parameters)
    trace = (*state.trace, after.log_likelihood)
    return replace(after, trace=trace, reseeded=reseeded, complete=placed == 0)


def settled(task: Task, before: State, after: State) -> State | None:
    """The better of the two states when the gain is below the tolerance.

    Added variance makes an M-step a little worse than the best one: near the end it can lose.
    """
    gain = after.log_likelihood - before.log_likelihood
    if not before.complete or not task.tol > 0 or not gain < task.tol:
        return None
    return after if gain >= 0 else before


def maximisation(task: Task, state: State) -> tuple[Parameters, int]:
    """M-step; empty components are placed at the worst explained rows, and counted."""
    statistics, kind = state.statistics, task.kind
    scatter = statistics.scatter
    empty = np.flatnonzero(statistics.weight < _EMPTY)
    weight = np.maximum(statistics.weight, _EMPTY)
    weights = weight / weight.sum()
    means = statistics.mean.copy()
    if empty.size:
        joint = state.parameters.joint(kind)
        means[empty] = worst_explained(task.rows, joint, kind, empty.size)
        # Standardised rows have unit variance: the width of a component that knows nothing yet.
        scatter = scatter.copy()
        d = means.shape[1]
        scatter[empty] = _EMPTY * (np.eye(d) if scatter.ndim == 3 else np.ones(d))
        weights[empty] = 1 / task.k
        weights /= weights.sum()
    covariances = kind.from_scatter(scatter, weight)
    after = Parameters(weights, means, kind.with_added(covariances, task.added))
    after = task.categories.maximised(after, statistics, empty)
    return task.background.maximised(after, statistics), int(empty.size)


def _judged(task: Task, before: State, after: State) -> State:
    """The state to go on from; with a status when it is the last."""
    end = (task.rule or settled)(task, before, after)
    if not after.complete:
        return after
    if end is not None:
        return replace(end, status=FitStatus.CONVERGED)
    if len(after.trace) >= task.max_iter:
        return replace(after, status=FitStatus.STOPPED)
    if _nothing_left(task, after):
        return replace(after, status=FitStatus.CONVERGED)
    return after


def _nothing_left(task: Task, state: State) -> bool:
    """Whether the next step could gain but a small part of the tolerance, and so need not be made.

    What it gains in Q, the expected log-likelihood of rows and their components, the statistics tell. It
    gains at least that (Dempster, Laird and Rubin 1977, theorem 1) and, near a maximum, at most twice that:
    with gradient g, complete information C and observed O >= 0 the step is s = C^-1 g, which gains g's / 2
    in Q and g's - s'O s / 2 in all. With added variance the step gains less: what is foreseen is that
    without, the highest that Q can be.
    """
    if len(task.rows) < _MANY or not task.tol > 0 or not _plain(task):
        return False
    if (state.statistics.weight < _EMPTY).any():
        return False
    after, _ = maximisation(replace(task, added=np.zeros_like(task.added)), state)
    try:
        now, then = (_expected(task, one, state.statistics) for one in (state.parameters, after))
    except InvalidInput:  # without added variance a component has no width
        return False
    return 2 * (then - now) < _SMALL * task.tol


def _expected(task: Task, parameters: Parameters, statistics: Statistics) -> float:
    """The expected log-likelihood of rows and their components, nats per row."""
    joint = parameters.joint(task.kind)
    white, away = joint.whiteners, statistics.mean - joint.means
    if white.ndim == 3:
        squares = np.square(np.einsum("kij,kj->ki", white, away)).sum(axis=1)
        spread = ((white @ statistics.scatter) * white).sum(axis=(1, 2))
    else:
        squares = np.square(white * away).sum(axis=1)
        spread = (np.square(white) * statistics.scatter).sum(axis=1)
    log_joint = statistics.weight * (joint.offsets - 0.5 * squares) - 0.5 * spread
    return float(log_joint.sum()) / statistics.total


def _plain(task: Task) -> bool:
    """Whether EM ends by the tolerance, and knows nothing but Gaussians."""
    return task.rule is None and task.background.share == 0 and task.categories is NO_CATEGORIES


def _state(task: Task, parameters: Parameters) -> State:
    statistics = task.kernel(task.rows, parameters.joint(task.kind), task.kind)
    return State(parameters, statistics, statistics.log_likelihood / statistics.total)
