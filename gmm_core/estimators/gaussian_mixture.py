"""GaussianMixture: the fit of this package behind scikit-learn's interface."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from gmm_core.arrays import Array, Missing
from gmm_core.covariances.kind import CovarianceType
from gmm_core.criteria import Criterion
from gmm_core.em import FitResult, FitStatus, fit
from gmm_core.errors import InvalidInput
from gmm_core.estimators.choice import ChoosingEstimator, readable_again
from gmm_core.estimators.starts import MANY, Given, start_of
from gmm_core.estimators.trial import Trial, iterations_of
from gmm_core.fitting.standardising import added_variance
from gmm_core.fitting.starts import best_of
from gmm_core.mixture import Mixture

__all__ = ["GaussianMixture"]


class GaussianMixture(ChoosingEstimator):
    """scikit-learn's `GaussianMixture`, with row weights, in the memory of a chunk of rows.

    The same start and as many iterations give the same parameters, to rounding; so does the same
    `random_state`, but for "kmeans" on 65,536 rows or more, which then starts from a sample, and for
    "tied" from "k-means++" or "random_from_data", where scikit-learn's first step differs.

    Parameters
    ----------
    n_components : k, 1 or more; or several numbers, of which `fit` keeps the best by `criterion`.
    covariance_type : "full", "tied", "diag" or "spherical".
    tol : nats per row; EM ends when an iteration changes the mean log-likelihood by less.
    reg_covar : variance added to each feature of each component: a number, or one per feature.
    max_iter : M-steps at most, per start (some more where the last of them placed components anew);
        0 keeps the start itself.
    n_init : starts; the best is kept.
    init_params : "kmeans", "k-means++", "random" or "random_from_data".
    weights_init, means_init, precisions_init : (k,), (k, d), and the shape of `precisions_`; each
        takes the place of what `init_params` gives. Not with several `n_components`.
    random_state : int, `RandomState` or None; decides starts and samples.
    warm_start : whether `fit` goes on from the last fit.
    verbose, verbose_interval : 1 prints every `verbose_interval`-th iteration, 2 also how it went; of
        several `n_components`, before each which it is.
    criterion : "bic", "aic", "icl" or "heldout", as in `select`; for several `n_components`.
    missing : "error" refuses NaN; "marginalise" takes it as a missing value, and fits what each row
        has. Densities of rows with gaps are not to be compared with those of whole rows.
    background : `True`, or its share at the start, adds a uniform component that explains outliers.
        With it, and with gaps, `init_params` is not used: starts are those of `gmm_core.fit`.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : float32 where rows were;
        (k,), (k, d), and for the last three (k, d, d) for "full", (d, d) for "tied", (k, d) for "diag",
        (k,) for "spherical". Set by hand, they are what answers are computed from.
    n_components_ : k of the fit; of several `n_components`, the one kept.
    mixture_ : the same as a `Mixture`.
    result_ : `FitResult` of the best start; its log-likelihood is that of `mixture_`, with the
        background if there is one.
    converged_ : whether the best start ended before `max_iter`.
    n_iter_ : its M-steps.
    selection_ : `Selection` among several `n_components`; all else is then of the one kept.
    lower_bounds_ : mean log-likelihood before each of them, nats per row; the last is `lower_bound_`.
    n_features_in_, feature_names_in_ : d, and the columns' names where rows came as a table.

    >>> X = [[1.0], [1.2], [0.8], [9.0], [9.2], [8.8]]
    >>> model = GaussianMixture(2, random_state=0).fit(X, sample_weight=[2, 1, 1, 1, 1, 2])
    >>> sorted(model.means_.ravel().round(2).tolist())
    [1.0, 8.95]
    """

    def __init__(
        self,
        n_components: int | Iterable[int] = 1,
        *,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-3,
        reg_covar: ArrayLike = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        criterion: Criterion = "bic",
        missing: Missing = "error",
        background: bool | float = False,
    ) -> None:
        self.n_components: Any = readable_again(n_components)
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.criterion = criterion
        self.missing = missing
        self.background = background

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n, d), each counting `sample_weight` (n,) times; `y` is not used.

        Warns (`ConvergenceWarning`) when no start ended before `max_iter`.

        Raises
        ------
        InvalidInput : a `ValueError`: a parameter, the rows or the weights are wrong.
        FitFailed : a `ValueError`: no start gave a usable mixture; raise `reg_covar`.

        >>> GaussianMixture().fit([[1.0], [3.0]]).means_
        array([[2.]])
        """
        if self._undecided:
            return self._choose(X, sample_weight)
        self.__dict__.pop("selection_", None)  # of an earlier fit
        self._check_settings()
        rows, weight = self._fit_rows(X, sample_weight)
        if self.warm_start and hasattr(self, "converged_"):
            self._check_warm(self.mixture_, rows.shape[1])
            trial = self._trial(0, self.lower_bound_)
            best = trial, self._run(trial, rows, weight, self.mixture_)
        else:
            best = self._tried(rows, weight)
        return self._keep(*best, rows.dtype)

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """`fit`, then `predict` of the same rows (n, d): (n,); raises as `fit`.

        >>> GaussianMixture(2, random_state=0).fit_predict([[0.0], [1.0], [90.0], [91.0]]).tolist()
        [1, 1, 0, 0]
        """
        return self.fit(X, y, sample_weight).predict(X)

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion on rows X (n, d), lower is better; raises as `score`.

        Schwarz 1978: parameters * log(rows) - 2 * log-likelihood. Weights count rows: their sum is
        the number of rows.

        >>> model = GaussianMixture().fit([[1.0], [3.0]])
        >>> round(model.bic([[1.0], [3.0]]), 2), round(model.bic([[1.0], [3.0]], [2, 2]), 2)
        (7.06, 14.12)
        """
        return self._criterion(X, sample_weight, math.log)

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion on rows X (n, d), lower is better; raises as `score`.

        Akaike 1974: 2 * parameters - 2 * log-likelihood; weights as in `bic`.

        >>> round(GaussianMixture().fit([[1.0], [3.0]]).aic([[1.0], [3.0]]), 2)
        9.68
        """
        return self._criterion(X, sample_weight, lambda n: 2.0)

    @classmethod
    def from_mixture(cls, mixture: Mixture, **parameters: Any) -> Self:
        """An estimator that answers from a known mixture; with `warm_start`, `fit` goes on from it.

        Parameters
        ----------
        parameters : of the constructor, but for `n_components` and `covariance_type`.

        Raises `InvalidInput` for what is no `Mixture`, and for other parameters. Before `fit` there is
        no `result_`.

        >>> known = Mixture([1.0], [[0.0]], [1.0], "spherical")
        >>> GaussianMixture.from_mixture(known).score_samples([[0.0]]).round(3).tolist()
        [-0.919]
        """
        if not isinstance(mixture, Mixture):
            raise InvalidInput("mixture", got=mixture, bound="a Mixture", remedy="make one first")
        own = ("covariance_type", "n_components")
        allowed = [name for name in cls._get_param_names() if name not in own]
        if wrong := sorted(set(parameters).difference(allowed)):
            raise InvalidInput(
                "parameters that from_mixture does not take",
                got=", ".join(wrong),
                bound=", ".join(allowed),
                remedy="leave out what the mixture itself says",
            )
        model = cls(mixture.n_components, covariance_type=mixture.covariance_type, **parameters)
        model.n_features_in_, model.n_components_ = mixture.n_features, mixture.n_components
        model.converged_, model.n_iter_ = False, 0
        model.lower_bound_, model.lower_bounds_ = -math.inf, []
        return model._set_mixture(mixture)

    def _tried(self, rows: NDArray[Any], weight: Array | None) -> tuple[Trial, FitResult]:
        """The best outcome of all starts."""
        kind, k, d = self._kind(), self.n_components, rows.shape[1]
        given = Given(self.weights_init, self.means_init, self.precisions_init, kind, k, d)
        rng = self._rng()
        how = (added_variance(self.reg_covar, d), self.init_params, rng)
        many = self.init_params == "kmeans" and len(rows) >= MANY
        sampled = given.nothing and (many or self._seeded_by_fit(rows))

        def outcome(number: int) -> tuple[Trial, FitResult]:
            trial = self._trial(number)
            if sampled and self.max_iter:
                return trial, self._run(trial, rows, weight, None, int(rng.randint(2**31 - 1)))
            drawn = None if given.everything else start_of(rows, weight, k, kind, *how)
            return trial, self._run(trial, rows, weight, given.over(drawn, kind))

        return best_of(range(self.n_init), outcome, lambda found: found[0].bound)

    def _trial(self, number: int, previous: float = -math.inf) -> Trial:
        return Trial(number, int(self.verbose), int(self.verbose_interval), previous)

    def _run(
        self,
        trial: Trial,
        rows: NDArray[Any],
        weight: Array | None,
        start: Mixture | None,
        seed: int = 0,
    ) -> FitResult:
        """EM from `start`; from what `fit` finds by `seed` when that is `None`."""
        if start and not self.max_iter:
            density = start.log_prob(rows, missing=self.missing)
            value = float(np.average(density, weights=weight))
            return FitResult(start, FitStatus.STOPPED, value, (), 0, 1, 0, 0.0)
        result = fit(
            rows,
            self.n_components,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            tol=self.tol,
            max_iter=self.max_iter,
            seed=seed,
            sample_weight=weight,
            start=start,
            rule=trial,
            missing=self.missing,
            background=self.background,
        )
        trial.end(converged=result.converged)
        return result

    def _keep(self, trial: Trial, result: FitResult, dtype: Any) -> Self:
        if not result.converged and self.max_iter:
            warnings.warn(
                f"No start converged: the best made {iterations_of(result.iterations)}. Raise max_iter "
                "or tol, try other init_params, or look for components without width.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.result_, self.n_components_ = result, result.mixture.n_components
        self.converged_, self.n_iter_ = result.converged, result.iterations
        self.lower_bound_, self.lower_bounds_ = trial.bound, trial.bounds
        return self._set_mixture(result.mixture, dtype)

    def _criterion(
        self, X: Any, sample_weight: ArrayLike | None, price: Callable[[float], float]
    ) -> float:
        if self.background:
            raise InvalidInput(
                "information criteria of the mixture alone, without the background it was fitted with",
                got=self.background,
                bound="background=False",
                remedy="let fit compare: give n_components as a range",
            )
        return super()._criterion(X, sample_weight, price)
