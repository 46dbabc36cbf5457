"""Ascent: the loop of variational Bayes, in standardised space.

Unlike EM's, an iteration ends with the M-step: the lower bound then needs no further E-step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.fitting.estep import Joint, Kernel, Statistics
from gmm_core.fitting.loop import FitStatus
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import CovarianceKind
from gmm_core.variational.normal_wishart import Posterior, Prior, entropy

__all__ = ["Problem", "Shares", "State", "after", "ascend", "shared_out"]

Shares = Callable[
    [slice], Array
]  # responsibilities (m, k) of a part of the rows, asked for in order


@dataclass(frozen=True)
class Problem:
    """What stays the same during a fit; all in standardised space.

    Parameters
    ----------
    unit : the caller's weight of a row whose weight is 1 in `rows`.
    added : (d,) variance by which each row is blurred.
    tol, max_iter : when to stop.
    compiled : whether the kernel is compiled code.
    watch : called with the lower bound after each iteration.
    """

    rows: Rows
    unit: float
    k: int
    kind: CovarianceKind
    added: Array
    tol: float
    max_iter: int
    kernel: Kernel
    compiled: bool = False
    watch: Callable[[float], object] | None = None

    def statistics(self, joint: Joint) -> Statistics:
        """One E-step: what the rows, in the caller's weights, say under `joint`."""
        return self.weighed(self.kernel(self.rows, joint, self.kind))

    def weighed(self, statistics: Statistics) -> Statistics:
        """Statistics of rows of weight 1 as those of rows in the caller's weights."""
        return Statistics(
            statistics.log_likelihood * self.unit,
            statistics.weight * self.unit,
            statistics.mean,
            statistics.scatter * self.unit,
        )

    def total(self) -> Statistics:
        """Statistics of one component that explains all rows."""
        d = self.rows.n_features
        white = np.ones((1, d))
        if len(self.kind.scatter_shape(1, d)) == 3:
            white = np.eye(d)[None]
        return self.statistics(Joint(np.zeros(1), np.zeros((1, d)), white))

    def bound(self, statistics: Statistics, joint: Joint, posterior: Posterior) -> float:
        """The lower bound in the caller's units, between an E-step under `joint` and the next.

        A density per standardised unit becomes one per unit of the caller by the size of that unit,
        once for each row and each degree of freedom of the prior.
        """
        volume = np.log(self.rows.scale).sum() * posterior.degrees_of_freedom.sum()
        return entropy(statistics, joint, self.kind) + posterior.log_norm() - float(volume)


@dataclass(frozen=True)
class State:
    """A posterior in standardised space, and the lower bounds, in the caller's units, up to it."""

    posterior: Posterior
    bound: float = -math.inf
    trace: tuple[float, ...] = ()
    status: FitStatus = FitStatus.STOPPED


def ascend(problem: Problem, prior: Prior, state: State) -> State:
    """The loop: E-step, M-step, lower bound."""
    posterior, bound, trace = state.posterior, state.bound, []
    for _ in range(problem.max_iter):
        joint = posterior.joint()
        statistics = problem.statistics(joint)
        posterior = prior.posterior(statistics, problem.kind, problem.added)
        before, bound = bound, problem.bound(statistics, joint, posterior)
        trace.append(bound)
        if problem.watch:
            problem.watch(bound)
        if abs(bound - before) < problem.tol:
            return State(posterior, bound, tuple(trace), FitStatus.CONVERGED)
    return State(posterior, bound, tuple(trace))


def after(problem: Problem, prior: Prior, joint: Joint) -> State:
    """The start that an E-step under `joint` leads to."""
    return State(prior.posterior(problem.statistics(joint), problem.kind, problem.added))


def shared_out(problem: Problem, prior: Prior, shares: Shares) -> State:
    """The start that rows shared out by responsibilities lead to."""
    total = Statistics.nothing(problem.k, problem.rows.n_features, problem.kind)
    for part, chunk, weight in problem.rows.chunks():
        total += Statistics.of(chunk, shares(part) * weight[:, None], problem.kind)
    return State(prior.posterior(problem.weighed(total), problem.kind, problem.added))
