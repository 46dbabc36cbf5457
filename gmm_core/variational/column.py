"""Column: the ascent over cells of one feature, its iterations in one compiled call.

The same numbers as `gmm_core.variational.ascent.ascend`, to rounding, a few times as fast: the cells of
a column are so few that the general loop's time is what Python does between the E-steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gmm_core.extras import optional
from gmm_core.fitting.loop import FitStatus
from gmm_core.variational.ascent import Problem, State, ascend
from gmm_core.variational.normal_wishart import Posterior, Prior
from gmm_core.variational.weight_priors import DirichletProcess

__all__ = ["climb"]

_MOST_CELLS = 32_768  # more are worth two threads


def climb(problem: Problem, prior: Prior, state: State) -> State:
    """`ascend`, compiled where it can be: cells of one feature under a Dirichlet process."""
    if not _suits(problem, prior):
        return ascend(problem, prior, state)
    kernel = optional("gmm_core.kernels.column", "Compiled kernels", "numba")
    arrays = _arrays(state.posterior)
    trace = np.empty(problem.max_iter)
    steps, end = kernel.ascend(
        *_cells(problem), _prior(prior, problem), problem.unit, float(np.log(problem.rows.scale[0])),
        arrays, state.bound, float(problem.tol), trace,
    )  # fmt: skip
    found = tuple(trace[:steps].tolist())
    bound = found[-1] if found else state.bound
    reached = State(_posterior(state.posterior, arrays), bound, found)
    if end == kernel.CONVERGED:
        return State(reached.posterior, bound, found, FitStatus.CONVERGED)
    return reached if end == kernel.FURTHER else _gone_on(problem, prior, reached)


def _gone_on(problem: Problem, prior: Prior, reached: State) -> State:
    """By the general loop, which is precise where the compiled one is in doubt."""
    left = problem.max_iter - len(reached.trace)
    rest = ascend(replace(problem, max_iter=left), prior, reached)
    return replace(rest, trace=reached.trace + rest.trace)


def _suits(problem: Problem, prior: Prior) -> bool:
    return (
        problem.compiled
        and problem.watch is None
        and problem.rows.within is not None
        and problem.rows.values.dtype == np.float64
        and len(problem.rows) <= _MOST_CELLS
        and problem.kind.scatter_type == "diag"
        and isinstance(prior.weights, DirichletProcess)
    )


def _cells(problem: Problem) -> tuple[Any, ...]:
    """Values, weights and scaling as the kernels lay them out."""
    rows = problem.rows.stretched
    tiles = optional("gmm_core.kernels.tiles", "Compiled kernels", "numba")
    scaling = np.zeros((3, tiles.padded(3, np.float64)))
    scaling[0, :2], scaling[1, :2], scaling[2, 2] = rows.shift, 1 / rows.scale, 1.0
    values = np.array(rows.values, order="C").reshape(-1)
    weights = np.empty(0) if rows.weight is None else np.array(rows.weight)
    return values, weights, tuple(scaling)


def _prior(prior: Prior, problem: Problem) -> tuple[float, ...]:
    mean, variance = float(prior.mean[0]), float(np.ravel(prior.covariance)[0])
    return (
        float(prior.weights.value), float(prior.mean_precision), mean,
        float(prior.degrees_of_freedom), variance, float(problem.added[0]),
    )  # fmt: skip


def _arrays(posterior: Posterior) -> tuple[Any, ...]:
    """Copies of the posterior's numbers, (2, k) and (k,)."""
    parts = (
        posterior.concentration, posterior.mean_precision, posterior.means[:, 0],
        posterior.degrees_of_freedom, np.ravel(posterior.covariances),
    )  # fmt: skip
    return tuple(np.array(part, dtype=np.float64, order="C") for part in parts)


def _posterior(like: Posterior, arrays: tuple[Any, ...]) -> Posterior:
    concentration, precision, means, freedom, variance = arrays
    covariances = variance.reshape(like.covariances.shape)
    return Posterior(
        like.kind, like.weight_prior, concentration, precision, means[:, None], freedom, covariances
    )
