"""BayesianGaussianMixture: variational Bayes behind scikit-learn's interface."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from gmm_core.arrays import Array
from gmm_core.covariances.kind import CovarianceType
from gmm_core.estimators.base import MixtureEstimator
from gmm_core.estimators.starts import MANY, responsibilities
from gmm_core.estimators.trial import Trial, iterations_of
from gmm_core.fitting.estep import Joint
from gmm_core.fitting.starts import best_of
from gmm_core.variational.ascent import Shares
from gmm_core.variational.fit import BayesianResult, fit_bayesian
from gmm_core.variational.normal_wishart import expected_joint
from gmm_core.variational.priors import PriorSettings
from gmm_core.variational.weight_priors import WeightPriorType, weight_prior

__all__ = ["BayesianGaussianMixture"]


_PRIORS = (
    "weight_concentration_prior_type",
    "weight_concentration_prior",
    "mean_precision_prior",
    "mean_prior",
    "degrees_of_freedom_prior",
    "covariance_prior",
)


class BayesianGaussianMixture(MixtureEstimator):
    """scikit-learn's `BayesianGaussianMixture`, with row weights, in the memory of a chunk of rows.

    The same start and as many iterations give the same parameters, to rounding; so does the same
    `random_state`, but for "kmeans" on 65,536 rows or more, which then starts from a sample, and for
    "tied" with "k-means++" or "random_from_data".

    Answers about rows are, as scikit-learn's, from expected log weights and densities: a little
    more cautious than those of `mixture_`.

    Parameters
    ----------
    n_components : k at most; components that the rows do not call for keep next to no weight.
    covariance_type : "full", "tied", "diag" or "spherical".
    tol : nats over all rows; a fit ends when an iteration changes the lower bound by less.
    reg_covar : variance by which each row is blurred: a number, or one per feature.
    max_iter : iterations at most, per start; 0 keeps the start itself.
    n_init : starts; the best is kept.
    init_params : "kmeans", "k-means++", "random" or "random_from_data".
    weight_concentration_prior_type : "dirichlet_process" or "dirichlet_distribution".
    weight_concentration_prior : the larger, the more components share the rows; 1 / k by default.
    mean_precision_prior : rows' worth of knowledge of the means; 1 by default.
    mean_prior : (d,) where means are expected; by default the mean of the rows.
    degrees_of_freedom_prior : rows' worth of knowledge of the covariances, above d - 1; d by default.
    covariance_prior : (d, d), for "diag" (d,), for "spherical" a number: that many rows' worth of
        scatter; by default the rows' covariance.
    random_state : int, `RandomState` or None; decides starts and samples.
    warm_start : whether `fit` goes on from `result_`.
    verbose, verbose_interval : 1 prints every `verbose_interval`-th iteration, 2 also how it went.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : expected ones (covariances:
        inverses of the expected precisions); float32 where rows were.
    weight_concentration_ : (k,), for "dirichlet_process" two of them.
    mean_precision_ : (k,)
    degrees_of_freedom_ : (k,), for "tied" a number.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_,
        covariance_prior_ : the priors that were used.
    mixture_ : weights, means and covariances as a `Mixture`.
    result_ : `BayesianResult` of the best start.
    converged_, n_iter_ : whether the best start ended before `max_iter`, and its iterations.
    lower_bounds_ : after each of them, nats over all rows; the last is `lower_bound_`.
    n_features_in_, feature_names_in_ : d, and the columns' names where rows came as a table.

    >>> X = [[1.0], [1.2], [0.8], [9.0], [9.2], [8.8]]
    >>> model = BayesianGaussianMixture(n_components=3, random_state=0)
    >>> model.fit(X, sample_weight=[20, 10, 10, 10, 10, 20]).weights_.round(2).tolist()
    [0.51, 0.01, 0.48]
    """

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-3,
        reg_covar: ArrayLike = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weight_concentration_prior_type: WeightPriorType = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n, d), each counting `sample_weight` (n,) times; `y` is not used.

        Warns (`ConvergenceWarning`) when the best start made `max_iter` iterations.

        Raises
        ------
        InvalidInput : a `ValueError`: a parameter, the rows or the weights are wrong.
        FitFailed : a `ValueError`: no start gave a usable mixture; raise `reg_covar`.

        >>> BayesianGaussianMixture().fit([[1.0], [3.0]]).means_
        array([[2.]])
        """
        self._check_settings()
        rows, weight = self._fit_rows(X, sample_weight)
        PriorSettings(*(getattr(self, name) for name in _PRIORS)).check(self._kind(), rows.shape[1])

        def outcome(begun: tuple[_Watch, BayesianResult | Shares | None, int]) -> BayesianResult:
            watch, start, seed = begun
            return self._run(watch, rows, weight, start, seed)

        best = best_of(self._starts(rows, weight), outcome, lambda result: result.lower_bound)
        return self._keep(best, rows.dtype)

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """`fit`, then `predict` of the same rows (n, d): (n,); raises as `fit`.

        >>> model = BayesianGaussianMixture(n_components=2, covariance_prior=[[1.0]], random_state=0)
        >>> model.fit_predict([[0.0], [1.0], [90.0], [91.0]]).tolist()
        [1, 1, 0, 0]
        """
        return self.fit(X, y, sample_weight).predict(X)

    def _starts(
        self, rows: NDArray[Any], weight: Array | None
    ) -> Iterator[tuple[_Watch, BayesianResult | Shares | None, int]]:
        """What each start is watched by, begins with (`None`: `fit_bayesian` finds it), its seed."""
        rng = self._rng()
        if self.warm_start and hasattr(self, "result_"):
            self._check_warm(self.result_.mixture, rows.shape[1])
            yield self._watch(0, self.result_.lower_bound), self.result_, 0
            return
        for number in range(self.n_init):
            watch = self._watch(number, -math.inf)
            if self.init_params == "kmeans" and len(rows) >= MANY:
                yield watch, None, int(rng.randint(2**31))
            else:
                shares = responsibilities(rows, weight, self.n_components, self.init_params, rng)
                yield watch, shares, 0

    def _watch(self, number: int, previous: float) -> _Watch:
        return _Watch(number, int(self.verbose), int(self.verbose_interval), previous)

    def _run(
        self,
        watch: _Watch,
        rows: NDArray[Any],
        weight: Array | None,
        start: BayesianResult | Shares | None,
        seed: int,
    ) -> BayesianResult:
        names = ("covariance_type", "reg_covar", "tol", "max_iter", *_PRIORS)
        settings = {name: getattr(self, name) for name in names}
        result = fit_bayesian(
            rows,
            self.n_components,
            seed=seed,
            sample_weight=weight,
            start=start,
            watch=watch.hear,
            **settings,
        )
        watch.end(converged=result.converged)
        return result

    def _keep(self, result: BayesianResult, dtype: Any) -> Self:
        if not result.converged and self.max_iter:
            warnings.warn(
                f"No start converged in {iterations_of(result.iterations)}: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        posterior, prior = result.posterior, result.prior
        concentration, freedom = posterior.concentration, posterior.degrees_of_freedom
        self.result_ = result
        self.converged_, self.n_iter_ = result.converged, result.iterations
        self.lower_bound_, self.lower_bounds_ = result.lower_bound, list(result.trace)
        pairs = concentration.ndim == 2
        self.weight_concentration_ = tuple(concentration) if pairs else concentration
        self.mean_precision_ = posterior.mean_precision
        self.degrees_of_freedom_ = float(freedom[0]) if self.covariance_type == "tied" else freedom
        self.weight_concentration_prior_ = prior.weights.value
        self.mean_precision_prior_, self.mean_prior_ = prior.mean_precision, prior.mean
        self.degrees_of_freedom_prior_ = prior.degrees_of_freedom
        isotropic = self._kind().isotropic
        self.covariance_prior_ = float(prior.covariance[0]) if isotropic else prior.covariance
        return self._set_mixture(result.mixture, dtype)

    def _joint(self) -> Joint:
        plain = super()._joint()
        prior = weight_prior(self.weight_concentration_prior_type, self.weight_concentration_prior_)
        freedom = np.asarray(self.degrees_of_freedom_, dtype=np.float64)
        return expected_joint(
            prior.expected_log(np.asarray(self.weight_concentration_, dtype=np.float64)),
            np.asarray(self.mean_precision_, dtype=np.float64),
            np.broadcast_to(freedom, len(plain.means)),
            plain.means,
            plain.whiteners,
        )


class _Watch(Trial):
    """Watches a start that gives its bounds itself."""

    def hear(self, bound: float) -> None:
        change, self.previous = bound - self.previous, bound
        self.bounds.append(bound)
        self._tell_iteration(change)
