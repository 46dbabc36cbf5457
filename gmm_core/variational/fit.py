"""Variational Bayes: a mixture whose parameters have priors, fitted by the kernels of EM.

The E-step is that of EM with other offsets; the M-step (`Prior.posterior`) sees no rows, only their
moments. Components that the rows do not call for keep next to no weight, so k is an upper limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.kernel import KernelName, kernel_of
from gmm_core.fitting.loop import FitStatus
from gmm_core.fitting.reach import in_order
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import warm_start
from gmm_core.fitting.starts import generators
from gmm_core.fitting.within import knowing_within
from gmm_core.gaussian import CovarianceKind, CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.settings import check_settings
from gmm_core.variational.ascent import Problem, Shares, State, after, shared_out
from gmm_core.variational.normal_wishart import Posterior, Prior
from gmm_core.variational.priors import PriorSettings
from gmm_core.variational.starts import best_ascent
from gmm_core.variational.weight_priors import WeightPriorType

__all__ = ["BayesianResult", "fit_bayesian"]


@dataclass(frozen=True)
class BayesianResult:
    """What `fit_bayesian` found, in the caller's units.

    Parameters
    ----------
    mixture : expected weights, means, and inverses of the expected precisions.
    posterior, prior : of the parameters; `posterior.log_joint` is what rows are assigned by.
    status : how the start that won ended.
    lower_bound : on the log-likelihood of all rows, nats, but for a constant that depends on k, d and
        the prior alone; of two fits with these the same, the higher is better.
    trace : lower bound after each iteration of the start that won; the last is `lower_bound`.
    iterations : E- and M-steps that led to `posterior`.
    restarts : starts tried.
    seconds : wall time of all starts.
    """

    mixture: Mixture
    posterior: Posterior
    prior: Prior
    status: FitStatus
    lower_bound: float
    trace: tuple[float, ...]
    iterations: int
    restarts: int
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether the gain fell below the tolerance."""
        return self.status is FitStatus.CONVERGED


def fit_bayesian(
    X: ArrayLike,
    n_components: int,
    *,
    covariance_type: CovarianceType = "full",
    weight_concentration_prior_type: WeightPriorType = "dirichlet_process",
    weight_concentration_prior: float | None = None,
    mean_precision_prior: float | None = None,
    mean_prior: ArrayLike | None = None,
    degrees_of_freedom_prior: float | None = None,
    covariance_prior: ArrayLike | None = None,
    reg_covar: ArrayLike = 1e-6,
    tol: float = 1e-3,
    max_iter: int = 100,
    n_init: int = 1,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    start: BayesianResult | Mixture | ArrayLike | Shares | None = None,
    kernel: KernelName = "auto",
    watch: Callable[[float], object] | None = None,
    within: ArrayLike | None = None,
) -> BayesianResult:
    """Fit a mixture with priors to rows by variational Bayes; the best of `n_init` starts wins.

    Bishop 2006, section 10.2; Blei and Jordan 2006 for the Dirichlet process. Updates, lower bound
    and stopping are those of scikit-learn's `BayesianGaussianMixture`.

    Parameters
    ----------
    X : (n, d) finite numbers, float32 or float64 without a copy; of one feature, with a sorted one.
    n_components : k at most, and no more than there are distinct rows.
    weight_concentration_prior_type : "dirichlet_process" or "dirichlet_distribution".
    weight_concentration_prior : 1 / k by default; the larger, the more components share the rows.
    mean_precision_prior : rows' worth of knowledge of the means; 1 by default.
    mean_prior : (d,) where means are expected; by default the mean of the rows.
    degrees_of_freedom_prior : rows' worth of knowledge of the covariances, above d - 1; d by default.
    covariance_prior : (d, d), for "diag" (d,), for "spherical" a number: that many rows' worth of
        scatter; by default the rows' covariance.
    reg_covar : variance by which each row is blurred: a number, or (d,).
    tol : gain in nats, over all rows, below which a fit ends; 0 makes `max_iter` iterations.
    max_iter, n_init : iterations at most (0 leaves what the start says) of each of so many starts.
    seed : the same seed and input give the same result.
    sample_weight : (n,) 0 or more; a row of weight 2 counts as two, one of 0.01 for next to nothing.
    start : of the first start: a mixture, a result to go on from, or responsibilities (n, k), perhaps
        as a function that is asked for one slice after the other of the rows of weight above 0.
    kernel, within, watch : as in `fit`; the last is called with the lower bound of each iteration.

    Raises
    ------
    InvalidInput : the arguments are wrong.
    FitFailed : a feature is constant and no variance is added, or no start gave a usable mixture.

    >>> rows = Mixture([0.3, 0.7], [[-5.0], [5.0]], [[[1.0]], [[1.0]]]).sample(500, seed=1)
    >>> result = fit_bayesian(rows, 6, max_iter=500)
    >>> result.converged, sorted(result.mixture.weights.round(1).tolist())
    (True, [0.0, 0.0, 0.0, 0.0, 0.3, 0.7])
    """
    began = time.perf_counter()
    check_settings({"n_components": n_components, "tol": tol, "n_init": n_init, "seed": seed})
    check_settings({"max_iter": max_iter, "kernel": kernel, "watch": watch})
    priors = PriorSettings(
        *(weight_concentration_prior_type, weight_concentration_prior, mean_precision_prior),
        *(mean_prior, degrees_of_freedom_prior, covariance_prior),
    )
    rows = (X, sample_weight, within, reg_covar)
    loop = (kernel, n_init, tol, max_iter, watch)
    problem = _problem(rows, n_components, kind_of(covariance_type), loop)
    prior = priors.prior(problem.rows, problem.kind, n_components, problem.total())
    starts = generators(seed, n_init, _begun(problem, prior, start, sample_weight))
    return replace(_fitted(problem, prior, starts), seconds=time.perf_counter() - began)


def _problem(
    given: tuple[Any, ...], k: int, kind: CovarianceKind, loop: tuple[Any, ...]
) -> Problem:
    """From what `fit_bayesian` is given of rows, and of the loop."""
    X, sample_weight, within, reg_covar = given
    kernel, starts, tol, max_iter, watch = loop
    isotropic = kind.isotropic
    rows, added = Rows.of(X, sample_weight, reg_covar, k, isotropic=isotropic, within=within)
    chosen = kernel_of(kernel, rows, k, starts, max_iter)
    compiled, unit = chosen is compiled_kernel, _unit(sample_weight)
    chosen = knowing_within(chosen, rows)
    return Problem(rows, unit, k, kind, added, tol, max_iter, chosen, compiled, watch)


def _fitted(
    problem: Problem, prior: Prior, starts: list[State | np.random.Generator]
) -> BayesianResult:
    """The result but for its time, in the caller's units."""
    rows = problem.rows
    best = best_ascent(replace(problem, rows=in_order(rows)), prior, starts)
    found = best.posterior
    posterior = found.at(
        found.means * rows.scale + rows.shift, found.kind.rescaled(found.covariances, rows.scale)
    )
    return BayesianResult(
        posterior.mixture(),
        posterior,
        prior.moved(rows.shift, rows.scale),
        best.status,
        best.bound,
        best.trace,
        len(best.trace),
        len(starts),
        0.0,
    )


def _begun(
    problem: Problem,
    prior: Prior,
    start: BayesianResult | Mixture | ArrayLike | Shares | None,
    sample_weight: ArrayLike | None,
) -> State | None:
    """From what the caller gives, if anything."""
    if start is None:
        return None
    rows, k, kind = problem.rows, problem.k, problem.kind
    if isinstance(start, BayesianResult):
        fitted = warm_start(rows, k, kind, start.mixture)  # raises unless it suits the rows
        posterior = start.posterior.at(fitted.means, fitted.covariances)
        return State(posterior, start.lower_bound)
    if isinstance(start, Mixture):
        return after(problem, prior, warm_start(rows, k, kind, start).joint(kind))
    if callable(start):
        return shared_out(problem, prior, start)
    used = slice(None) if sample_weight is None else np.asarray(sample_weight) > 0
    n = len(rows) if sample_weight is None else np.size(sample_weight)
    shares = frozen_array(start, "start", (n, k))[used]
    if (shares < 0).any():
        raise InvalidInput(
            "start holds negative responsibilities", got=float(shares.min()), bound="0 or more"
        )
    return shared_out(problem, prior, shares.__getitem__)


def _unit(sample_weight: ArrayLike | None) -> float:
    """The mean of the weights above 0, which `Rows` has as 1."""
    if sample_weight is None:
        return 1.0
    weight = np.asarray(sample_weight, dtype=np.float64)
    return float(weight[weight > 0].mean())
