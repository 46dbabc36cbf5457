"""Expectation maximisation: one loop of start, step, stop.

The loop knows neither how covariances are stored (`CovarianceKind`) nor how the statistics of a
chunk are computed (`Kernel`): either can be exchanged without touching it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, Missing
from gmm_core.errors import BlockmixError, FitFailed, InvalidInput
from gmm_core.fitting.background import NOTHING_BEHIND, Background, background_of, start_share
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import (
    NO_BACKGROUND,
    Kernel,
    Parameters,
    Statistics,
    numpy_kernel,
    worst_explained,
)
from gmm_core.fitting.missing import marginalising
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start, warm_start
from gmm_core.gaussian import CovarianceKind, CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.settings import check_settings

__all__ = ["FitResult", "FitStatus", "fit"]

KernelName = Literal["auto", "compiled", "numpy"]

_MUCH = (
    1_000_000  # numbers times components: below, loading compiled code takes longer than it saves
)
_SAMPLE = 16_384  # rows at least
_SAMPLE_PER_VALUE = 20  # rows per mean and deviation that a fit estimates
_WORTH_SAMPLING = 4  # times fewer rows
_TRIALS, _TRIAL_STEPS = 4, 8
_EMPTY = 1e-3  # rows: a component that explains less of the data than this says nothing
_RESEEDS_PER_COMPONENT = 3


class FitStatus(enum.Enum):
    """How a fit ended; the value is the message for people."""

    CONVERGED = "converged: the gain of an iteration fell below the tolerance"
    STOPPED = "stopped: the iteration limit came before the gain fell below the tolerance"


@dataclass(frozen=True)
class FitResult:
    """What `fit` found.

    Parameters
    ----------
    mixture : the best mixture of all starts.
    status : how the start that won ended.
    log_likelihood : mean nats per row (weighted) of `mixture` itself, and of a background if any.
    trace : log-likelihood after each iteration of the start that won; the last is `log_likelihood`.
    iterations : M-steps that led to `mixture`.
    restarts : starts tried.
    reseeded : empty components placed anew in the start that won.
    seconds : wall time of all starts.
    background : share of the rows (weighted) that a uniform background explains; 0 without one.
    """

    mixture: Mixture
    status: FitStatus
    log_likelihood: float
    trace: tuple[float, ...]
    iterations: int
    restarts: int
    reseeded: int
    seconds: float
    background: float = 0.0

    @property
    def converged(self) -> bool:
        """Whether the gain fell below the tolerance."""
        return self.status is FitStatus.CONVERGED


@dataclass(frozen=True)
class Task:
    """What stays the same during a fit.

    Parameters
    ----------
    added : (d,) variance added by every M-step, in standardised units.
    tol, max_iter : when to stop.
    rule : decides it; `stop` unless a caller brings another.
    background : what explains the rows that no component does.
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


Rule = Callable[[Task, State, State], State]


def fit(
    X: ArrayLike,
    n_components: int,
    *,
    covariance_type: CovarianceType = "full",
    reg_covar: ArrayLike = 1e-6,
    tol: float = 1e-5,
    max_iter: int = 200,
    n_init: int = 1,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    start: Mixture | None = None,
    kernel: KernelName = "auto",
    rule: Rule | None = None,
    background: bool | float = False,
    missing: Missing = "error",
) -> FitResult:
    """Fit a mixture to rows by expectation maximisation; the best of `n_init` starts wins.

    Parameters
    ----------
    X : (n, d) finite numbers, float32 or float64 without a copy.
    n_components : k, at most the number of distinct rows.
    reg_covar : variance added to each feature of each component by every M-step: a number, or (d,).
    tol : gain in nats per row below which EM ends; 0 makes `max_iter` steps, whatever they gain.
    max_iter : M-steps at most, per start; some more where the last of them placed components anew.
    n_init : starts; each draws its own seeds.
    seed : the same seed and input give the same result.
    sample_weight : (n,) 0 or more; a row of weight 2 counts as two.
    start : a mixture to start from, as the first of the `n_init` starts.
    kernel : "compiled" (numba), "numpy" (the slow reference), or "auto": compiled where the rows are
        so many that it pays. They agree to rounding.
    rule : called after each iteration over all rows with the task and the states before and after;
        gives the state to go on from, or to end with when its `status` is set. `stop` when left out.
    background : `True`, or its share at the start, adds a uniform background that explains outliers.
        `mixture` is then that of the other rows: its mean and covariance are not those of all rows.
    missing : "marginalise" takes NaN as a missing value, and what is left of a row for what it says
        (`gmm_core.fitting.missing`); a row without any value counts as absent. The mixture's mean and
        covariance are then not those of the observed values. "error" refuses NaN.

    Raises
    ------
    InvalidInput : the arguments are wrong.
    FitFailed : a feature is constant and no variance is added, or no start gave a usable mixture.

    >>> rows = Mixture([0.3, 0.7], [[-5.0], [5.0]], [[[1.0]], [[1.0]]]).sample(500, seed=1)
    >>> result = fit(rows, 2)
    >>> result.converged, sorted(result.mixture.weights.round(1).tolist())
    (True, [0.3, 0.7])
    """
    began = time.perf_counter()
    check_settings({"n_components": n_components, "tol": tol, "n_init": n_init, "seed": seed})
    check_settings({"max_iter": max_iter, "covariance_type": covariance_type})
    if max_iter == 0:  # the estimators allow it, and keep their start
        raise InvalidInput("max_iter", got=max_iter, bound="1 or more")
    kind, k, share = kind_of(covariance_type), n_components, start_share(background)
    rows, added = Rows.of(X, sample_weight, reg_covar, k, isotropic=kind.isotropic, missing=missing)
    rows, added, behind = background_of(rows, added, share, isotropic=kind.isotropic)
    chosen = kernel_of(kernel, rows, k)
    if rows.incomplete:
        chosen = marginalising(chosen, behind.log_widths)
    task = Task(rows, k, kind, added, tol, max_iter, chosen, rule, behind)
    best = _best(task, n_init, seed, None if start is None else warm_start(rows, k, kind, start))
    return replace(best, seconds=time.perf_counter() - began)


def _best(task: Task, n_init: int, seed: int, first: Parameters | None) -> FitResult:
    """The best of `n_init` starts, the first of them from the parameters given, if any."""
    best: FitResult | None = None
    failure: BlockmixError | None = None
    for source in np.random.SeedSequence(seed).spawn(n_init):
        parameters, first = first, None
        try:
            if parameters is None:
                parameters = _cold(task, np.random.default_rng(source))
            result = _result(task, run(task, parameters), n_init)
        except BlockmixError as error:  # another start may still succeed
            failure = error
            continue
        if best is None or result.log_likelihood > best.log_likelihood:
            best = result
    if best is None:
        raise FitFailed(
            f"no usable mixture of {task.k} components in {n_init} starts"
            + (f"; the last failed because {failure.problem}" if failure else ""),
            remedy="lower n_components, or raise reg_covar (the regularisation)",
        ) from failure
    return best


def _cold(task: Task, rng: np.random.Generator) -> Parameters:
    """Where EM starts from nothing: k-means; with many rows on parts of a sample, best of some.

    EM then goes ahead on the sample: an iteration there costs a small part of one over all rows, and
    most of the way to the optimum is the same on both.
    """
    size = max(_SAMPLE, _SAMPLE_PER_VALUE * task.k * (task.rows.n_features + 1))
    if len(task.rows) < _WORTH_SAMPLING * size:
        return cold_start(task.rows, task.k, task.kind, task.added, rng)
    part = replace(task, rows=task.rows.sample(size, rng), rule=None)
    trial = replace(part, tol=0.0, max_iter=_TRIAL_STEPS)
    best: State | None = None
    for _ in range(_TRIALS):
        try:
            few = part.rows.sample(size // _TRIALS, rng)
            state = run(trial, cold_start(few, task.k, task.kind, task.added, rng))
        except BlockmixError:  # so few rows may lack what all have
            continue
        if best is None or state.log_likelihood > best.log_likelihood:
            best = state
    try:
        if best is not None:
            return run(part, best.parameters).parameters
    except BlockmixError:  # so may the whole sample
        pass
    return cold_start(task.rows, task.k, task.kind, task.added, rng)


def run(task: Task, parameters: Parameters) -> State:
    """The loop: from starting parameters to the state in which EM ended."""
    state = _state(task, task.background.behind(parameters))
    while state.status is None:
        state = (task.rule or stop)(task, state, step(task, state))
    return state


def step(task: Task, state: State) -> State:
    """One M-step, and the E-step under its outcome."""
    parameters, placed = maximisation(task, state)
    reseeded = state.reseeded + placed
    if reseeded > _RESEEDS_PER_COMPONENT * task.k:
        raise FitFailed("components keep running empty", got=reseeded, remedy="lower n_components")
    after = _state(task, parameters)
    trace = (*state.trace, after.log_likelihood)
    return replace(after, trace=trace, reseeded=reseeded, complete=placed == 0)


def stop(task: Task, before: State, after: State) -> State:
    """The state to go on from, or to end with: the former one when the last step lost."""
    if not after.complete:
        return after
    gain = after.log_likelihood - before.log_likelihood
    if before.complete and gain < task.tol and task.tol > 0:
        # Added variance makes an M-step a little worse than the best one: near the end it can lose.
        return replace(after if gain >= 0 else before, status=FitStatus.CONVERGED)
    if len(after.trace) >= task.max_iter:
        return replace(after, status=FitStatus.STOPPED)
    return after


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
    return task.background.maximised(after, statistics), int(empty.size)


def kernel_of(name: KernelName, rows: Rows, k: int) -> Kernel:
    if name not in get_args(KernelName):
        raise InvalidInput("kernel", got=name, bound=", ".join(get_args(KernelName)))
    if name == "auto":
        return compiled_kernel if rows.values.size * k >= _MUCH else numpy_kernel
    return compiled_kernel if name == "compiled" else numpy_kernel


def _state(task: Task, parameters: Parameters) -> State:
    statistics = task.kernel(task.rows, parameters.joint(task.kind), task.kind)
    return State(parameters, statistics, statistics.log_likelihood / statistics.total)


def _result(task: Task, state: State, restarts: int) -> FitResult:
    rows, parameters = task.rows, state.parameters
    # A density per standardised unit becomes one per unit of the caller by the size of that unit.
    trace = tuple(value - rows.log_volume for value in state.trace)
    weights, behind = parameters.weights, 0.0
    if parameters.background > NO_BACKGROUND:
        weights = weights / weights.sum()
        behind = state.statistics.background / state.statistics.total
    mixture = Mixture(
        weights,
        parameters.means * rows.scale + rows.shift,
        task.kind.rescaled(parameters.covariances, rows.scale),
        task.kind.name,
    )
    status = state.status or FitStatus.STOPPED
    steps = len(trace)
    return FitResult(
        mixture, status, trace[-1], trace, steps, restarts, state.reseeded, 0.0, behind
    )
