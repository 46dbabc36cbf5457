"""Expectation maximisation for rows with categorical features. The loop is that of `gmm_core.em`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, as_rows, as_weights, whole_numbers
from gmm_core.errors import BlockmixError, InvalidInput
from gmm_core.fitting.categories import Categories, categorical
from gmm_core.fitting.coded import CodedRows
from gmm_core.fitting.coded_seeding import seeding
from gmm_core.fitting.estep import Kernel, Parameters
from gmm_core.fitting.kernel import KernelName, kernel_of
from gmm_core.fitting.loop import FitStatus, State, Task
from gmm_core.fitting.narrowing import worth
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import warm_start
from gmm_core.fitting.starts import best_of, ended, generators, none_usable
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixed.levels import as_codes, tables_of
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.settings import check_settings, fewest_of

__all__ = ["MixedFitResult", "fit_mixed", "smoothing_share"]

_MOST_SMOOTHING = 0.5  # of a row


@dataclass(frozen=True)
class MixedFitResult:
    """What `fit_mixed` found.

    Parameters
    ----------
    mixture : the best mixture of all starts.
    status : how the start that won ended.
    log_likelihood : mean nats per row (weighted) of `mixture` itself.
    trace : what EM raised, after each iteration of the start that won: the same, but each row
        smoothed over its features' levels (`gmm_core.fitting.categories`).
    smoothing : the part of each row that was shared out among all levels.
    iterations, restarts, reseeded, seconds : as in `FitResult`.
    """

    mixture: MixedMixture
    status: FitStatus
    log_likelihood: float
    trace: tuple[float, ...]
    smoothing: float
    iterations: int
    restarts: int
    reseeded: int
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether the gain fell below the tolerance."""
        return self.status is FitStatus.CONVERGED


def fit_mixed(
    X: ArrayLike,
    levels: Sequence[int],
    n_components: int,
    *,
    covariance_type: CovarianceType = "full",
    reg_covar: ArrayLike = 1e-6,
    smoothing: float = 0.5,
    tol: float = 1e-5,
    max_iter: int = 200,
    n_init: int = 1,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    start: MixedMixture | None = None,
    kernel: KernelName = "auto",
    fewest: int | None = None,
) -> MixedFitResult:
    """Fit a mixture to rows of numeric and categorical features by expectation maximisation.

    Parameters
    ----------
    X : (n, d + q) the d numeric features, one at least, then the codes of the q categorical ones.
    levels : how many levels each categorical feature has; its codes are 0 to that less 1.
    n_components : k, at most the number of rows that differ in their numeric features.
    smoothing : rows that each feature's levels share out evenly in a component of average weight (were
        there `fewest`), so that no probability is 0.
    start : a mixture to start from, as the first of the `n_init` starts.

    The others are those of `gmm_core.em.fit`. Values must be there, and there is no background.

    Raises
    ------
    InvalidInput : the arguments are wrong.
    FitFailed : a feature is constant and no variance is added, or no start gave a usable mixture.

    >>> truth = MixedMixture(
    ...     Mixture([0.3, 0.7], [[-5.0], [5.0]], [[[1.0]], [[1.0]]]), [[[0.9, 0.1], [0.2, 0.8]]]
    ... )
    >>> found = fit_mixed(truth.sample(2_000, seed=1), [2], 2).mixture
    >>> sorted(found.level_probabilities[0][:, 0].round(1).tolist())
    [0.2, 0.9]
    """
    began = time.perf_counter()
    check_settings({"n_components": n_components, "tol": tol, "n_init": n_init, "seed": seed})
    check_settings({"max_iter": max_iter, "kernel": kernel})
    if max_iter == 0:
        raise InvalidInput("max_iter", got=max_iter, bound="1 or more")
    kind, k = kind_of(covariance_type), n_components
    rows, added, sizes = _rows(X, levels, sample_weight, reg_covar, k, isotropic=kind.isotropic)
    fewest = fewest_of(fewest, k)
    categories = Categories(sizes, smoothing_share(smoothing, fewest, len(rows)))
    numeric = kernel_of(kernel, rows, k, n_init, max_iter)
    chosen = categorical(numeric, categories)
    task = Task(rows, k, kind, added, tol, max_iter, chosen, categories=categories)
    first = None if start is None else _warm(task, start)
    best = _best(task, n_init, seed, first, fewest)
    # A density per standardised unit becomes one per unit of the caller by the size of that unit.
    volume = rows.log_volume
    return MixedFitResult(
        mixture=_mixture(task, best.parameters),
        status=best.status or FitStatus.STOPPED,
        log_likelihood=_log_likelihood(task, numeric, best.parameters) - volume,
        trace=tuple(value - volume for value in best.trace),
        smoothing=categories.smoothing,
        iterations=len(best.trace),
        restarts=n_init,
        reseeded=best.reseeded,
        seconds=time.perf_counter() - began,
    )


def smoothing_share(smoothing: float, k: int, n: int) -> float:
    """The part of each of n rows that is smoothed away, for so many rows per component.

    >>> smoothing_share(0.5, 4, 198)
    0.01
    """
    if not 0 < smoothing < np.inf:
        raise InvalidInput(
            "smoothing", got=smoothing, bound="above 0, in rows", remedy="take 0.5 if in doubt"
        )
    return min(_MOST_SMOOTHING, smoothing * k / (n + smoothing * k))


def _rows(
    X: ArrayLike,
    levels: Sequence[int],
    sample_weight: ArrayLike | None,
    reg_covar: ArrayLike,
    k: int,
    *,
    isotropic: bool,
) -> tuple[CodedRows, Array, tuple[int, ...]]:
    try:
        sizes = tuple(whole_numbers(levels))
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 2:
        raise InvalidInput(
            "levels", got=levels, bound="2 or more of each of one or more categorical features",
            remedy="fit rows without categorical features by fit",
        )  # fmt: skip
    values = as_rows(X)
    d = values.shape[1] - len(sizes)
    if d < 1:
        raise InvalidInput(
            "numeric features of the rows", got=max(d, 0), bound="1 or more, before the categorical"
        )
    weight = as_weights(sample_weight, len(values))
    if weight is not None:
        counts = weight > 0
        values, weight = values[counts], weight[counts]
    codes = as_codes(values[:, d:], sizes)
    rows, added = Rows.of(values[:, :d], weight, reg_covar, k, isotropic=isotropic)
    return CodedRows.coded(rows, codes), added, sizes


def _warm(task: Task, start: MixedMixture) -> Parameters:
    """Parameters of a mixture; raises `InvalidInput` unless it fits the task."""
    if not isinstance(start, MixedMixture):
        raise InvalidInput("start", got=type(start).__name__, bound="a MixedMixture")
    if start.sizes != task.categories.sizes:
        raise InvalidInput("levels of the start", got=start.sizes, bound=str(task.categories.sizes))
    parameters = warm_start(task.rows, task.k, task.kind, start.numeric)
    return replace(parameters, levels=np.concatenate(start.level_probabilities, axis=1))


def _best(task: Task, n_init: int, seed: int, first: Parameters | None, fewest: int) -> State:
    """How the best of `n_init` starts ended, the first of them from the parameters given, if any."""
    begin = seeding(task.categories)

    def outcome(start: Parameters | np.random.Generator) -> State:
        return ended(task, start, fewest, begin)

    try:
        best: State = best_of(generators(seed, n_init, first), outcome, partial(worth, task))
    except BlockmixError as error:
        remedy = "lower n_components, or raise reg_covar (the regularisation)"
        raise none_usable(task.k, n_init, error, remedy) from error
    return best


def _log_likelihood(task: Task, numeric: Kernel, parameters: Parameters) -> float:
    """Mean nats per row in standardised units, the rows not smoothed."""
    exact = categorical(numeric, replace(task.categories, smoothing=0.0))
    statistics = exact(task.rows, parameters.joint(task.kind), task.kind)
    return statistics.log_likelihood / statistics.total


def _mixture(task: Task, parameters: Parameters) -> MixedMixture:
    rows, kind = task.rows, task.kind
    means = parameters.means * rows.scale + rows.shift
    covariances = kind.rescaled(parameters.covariances, rows.scale)
    levels = tables_of(cast(Array, parameters.levels), task.categories.sizes)
    return MixedMixture(Mixture(parameters.weights, means, covariances, kind.name), levels)
