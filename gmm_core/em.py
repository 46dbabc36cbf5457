"""Expectation maximisation: rows in, a mixture out. The loop itself is `gmm_core.fitting.loop`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Missing
from gmm_core.errors import BlockmixError, InvalidInput
from gmm_core.fitting.background import Background, background_of, start_share
from gmm_core.fitting.estep import NO_BACKGROUND, Kernel, Parameters
from gmm_core.fitting.kernel import KernelName, kernel_of
from gmm_core.fitting.loop import FitStatus, Rule, State, Task
from gmm_core.fitting.missing import marginalising
from gmm_core.fitting.narrowing import worth
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import warm_start
from gmm_core.fitting.starts import best_of, ended, generators, none_usable
from gmm_core.fitting.within import knowing_within
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.settings import check_settings, fewest_of

__all__ = ["FitResult", "FitStatus", "fit", "result_of"]


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
        """Whether the gain fell below the tolerance, or is foreseen to."""
        return self.status is FitStatus.CONVERGED


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
    within: ArrayLike | None = None,
    extrapolate: bool = False,
    fewest: int | None = None,
) -> FitResult:
    """Fit a mixture to rows by expectation maximisation; the best of `n_init` starts wins.

    Parameters
    ----------
    X : (n, d) finite numbers, float32 or float64 without a copy.
    n_components : k, at most the number of distinct rows.
    reg_covar : variance that every M-step adds to each component's features: a number, or (d,).
    tol : gain in nats per row below which EM ends, and from 8,192 rows on one of less than a tenth of it that
        is foreseen (without rule and background); 0 makes `max_iter` steps, whatever they gain.
    max_iter : M-steps at most, per start; some more where the last placed components anew.
    n_init, seed : starts, each with seeds of its own; same seed and input, same result.
    sample_weight : (n,) 0 or more; a row of weight 2 counts as two.
    start : a mixture, the first of the `n_init` starts.
    kernel : "compiled" (numba), "numpy" (slow), which agree to rounding, or "auto": compiled where it pays.
    rule : called after each iteration over all rows with task and states before and after; gives the state
        to end with, or `None` to go on (`gmm_core.fitting.loop.settled` when left out).
    background : `True`, or its share at the start, adds a uniform background that explains outliers:
        `mixture`, its mean and covariance are those of the other rows.
    missing : "marginalise" takes what is left of a row with NaN for what it says; mean and covariance
        then are not those of the observed values (`gmm_core.fitting.missing`). "error" refuses NaN.
    within : (n,) variances in rows that stand for several (`gmm_core.fitting.within`), one feature.
    extrapolate : some steps over few rows go further than EM does (`gmm_core.fitting.ahead`), none down.
    fewest : components to end with unless the rows justify more (`gmm_core.fitting.narrowing`). Steps that
        are made to tell come before `max_iter` and `rule`, and are not all in the trace.

    Raises
    ------
    InvalidInput : the arguments are wrong.
    FitFailed : a feature is constant and no variance is added, or no start gave a usable mixture.

    >>> rows = Mixture([0.3, 0.7], [[-5.0], [5.0]], [[[1.0]], [[1.0]]]).sample(500, seed=1)
    >>> sorted(fit(rows, 2).mixture.weights.round(1).tolist())
    [0.3, 0.7]
    """
    began = time.perf_counter()
    check_settings({"n_components": n_components, "max_iter": max_iter, "tol": tol})
    check_settings({"n_init": n_init, "seed": seed})
    check_settings({"kernel": kernel, "rule": rule, "extrapolate": extrapolate})
    if max_iter == 0:  # the estimators allow it, and keep their start
        raise InvalidInput("max_iter", got=0, bound="1 or more")
    kind, k, share = kind_of(covariance_type), n_components, start_share(background)
    rows, added = Rows.of(
        X, sample_weight, reg_covar, k, isotropic=kind.isotropic, missing=missing, within=within
    )
    rows, added, behind = background_of(rows, added, share, isotropic=kind.isotropic)
    chosen = _kernel(kernel_of(kernel, rows, k, n_init, max_iter), rows, behind)
    task = Task(rows, k, kind, added, tol, max_iter, chosen, rule, behind, extrapolate=extrapolate)
    given = None if start is None else warm_start(rows, k, kind, start)
    best = _best(task, n_init, seed, given, fewest_of(fewest, k))
    return replace(best, seconds=time.perf_counter() - began)


def _kernel(kernel: Kernel, rows: Rows, behind: Background) -> Kernel:
    """The kernel, knowing what is missing in the rows or varies within them."""
    known = knowing_within(kernel, rows)
    return marginalising(known, behind.log_widths) if rows.incomplete else known


def _best(task: Task, n_init: int, seed: int, first: Parameters | None, fewest: int) -> FitResult:
    """The best of `n_init` starts, the first of them from the parameters given, if any."""

    def outcome(start: Parameters | np.random.Generator) -> State:
        return ended(task, start, fewest=fewest)

    try:
        best = best_of(generators(seed, n_init, first), outcome, partial(worth, task))
    except BlockmixError as error:
        remedy = "lower n_components, or raise reg_covar (the regularisation)"
        raise none_usable(task.k, n_init, error, remedy) from error
    return result_of(task, best, n_init)


def result_of(task: Task, state: State, restarts: int) -> FitResult:
    """What the loop found, in the caller's units, but for its time."""
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
