"""What the scikit-learn faces share: checked input, and answers from the fitted attributes.

Answers are computed from `weights_`, `means_` and `precisions_cholesky_` as they are now, as
scikit-learn does: set by hand, they count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gmm_core.arrays import Array, as_rows, as_weights, frozen_array
from gmm_core.covariances.cholesky import whitener_diagonal
from gmm_core.criteria import free_parameters
from gmm_core.errors import InvalidInput
from gmm_core.estimators.digits import holds, narrowed
from gmm_core.estimators.precisions import covariances_of, factors_of, precisions_of, whiteners_of
from gmm_core.evaluation import Evaluation
from gmm_core.fitting.estep import Joint
from gmm_core.fitting.missing import observed_log_joint as log_joint
from gmm_core.fitting.rows import Rows
from gmm_core.frames import column_names
from gmm_core.gaussian import CovarianceKind, kind_of
from gmm_core.mixture import Mixture
from gmm_core.settings import check_settings

__all__ = ["MixtureEstimator"]

_FLOATS = [np.float64, np.float32]
_SETS = {
    "result_": ", and a model made from a known mixture was not fitted",
    "selection_": " when n_components are several numbers",
}


class MixtureEstimator(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the estimators: a subclass adds `__init__`, `fit` and what it knows beyond a mixture.

    Inside `fit`: `_check_settings`, then `_fit_rows`, then `_set_mixture`. Rows are arrays (float32
    and float64 as they are), or tables of pandas, polars or Arrow.

    Attributes
    ----------
    weights_ : (k,)
    means_ : (k, d)
    covariances_, precisions_, precisions_cholesky_ : (k, d, d) for "full", (d, d) for "tied", (k, d)
        for "diag", (k,) for "spherical"; the last is the upper triangular U with U U' the precision.
        All are float32 where rows are and float32 holds their squares: with deviations from 1.1e-19
        to 9.2e18. Otherwise, and for other rows, all are float64.
    n_features_in_, feature_names_in_ : d, and the columns' names where rows came as a table.
    """

    if not TYPE_CHECKING:  # a type checker would believe in every attribute

        def __getattr__(self, name: str) -> Any:
            """Say why an attribute of a fit is missing."""
            kind, what = type(self).__name__, ""
            if name == "mixture_":  # the property said so; Python then asks here
                self._check_fitted()
            if name in ("result_", "selection_"):
                what = f": `fit` sets it{_SETS[name]}"
            raise AttributeError(
                f"this {kind} has no attribute {name!r}{what}", name=name, obj=self
            )

    def score_samples(self, X: ArrayLike) -> NDArray[Any]:
        """(n,) log-density of rows X (n, d), in nats; float32 when rows and model are.

        But float64 where float32 cannot hold one of them: where a row is 1e19 deviations away. With
        missing="marginalise", a row that lacks values has the density of the others, per unit of these
        alone, and one without any value has 0: not to be compared with those of whole rows.

        Raises `NotFittedError` before `fit`, a `ValueError` (mostly `InvalidInput`) for bad rows.

        >>> from gmm_core import GaussianMixture
        >>> GaussianMixture().fit([[1.0], [3.0]]).score_samples([[2.0]]).round(3).tolist()
        [-0.919]
        """
        self._check_fitted()
        rows = self._rows(X)
        return narrowed(self._log_prob(rows), self._answer_type(rows))

    def score(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-density of rows X (n, d), weighted by `sample_weight` (n,), in nats per row.

        Raises as `score_samples`, and `InvalidInput` for bad weights.

        >>> from gmm_core import GaussianMixture
        >>> model = GaussianMixture().fit([[1.0], [3.0]])
        >>> round(model.score([[2.0], [9.0]], sample_weight=[1.0, 0.0]), 3)
        -0.919
        """
        self._check_fitted()
        rows = self._rows(X)
        return float(np.average(self._log_prob(rows), weights=self._weight(rows, sample_weight)))

    def _criterion(
        self, X: Any, sample_weight: ArrayLike | None, price: Callable[[float], float]
    ) -> float:
        """-2 * log-likelihood, and for each free parameter the price at so many rows."""
        score = self.score(X, None, sample_weight)
        total = float(self._weight(self._rows(X), sample_weight).sum())
        return float(price(total) * free_parameters(self.mixture_) - 2 * total * score)

    def _weight(self, rows: NDArray[Any], sample_weight: ArrayLike | None) -> Array:
        """(n,) weights; a row without any value does not count, as it does not in a fit."""
        given = as_weights(sample_weight, len(rows))
        weight: Array = np.ones(len(rows)) if given is None else given.copy()
        if getattr(self, "missing", "error") == "marginalise":
            weight[np.isnan(rows).all(axis=1)] = 0
            if not weight.any():
                raise InvalidInput("no row has a value", got=len(rows), bound="at least 1 with one")
        return weight

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """(n,) index of the most responsible component of each row; raises as `score_samples`.

        >>> from gmm_core import GaussianMixture
        >>> model = GaussianMixture(2, random_state=0).fit([[0.0], [1.0], [90.0], [91.0]])
        >>> model.predict([[0.5], [0.7], [99.0]]).tolist()
        [1, 1, 0]
        """
        self._check_fitted()
        return self._labels(self._rows(X))

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """(n, k) responsibilities, rows summing to 1; raises as `score_samples`.

        >>> from gmm_core import GaussianMixture
        >>> model = GaussianMixture(2, random_state=0).fit([[0.0], [1.0], [90.0], [91.0]])
        >>> model.predict_proba([[0.5]]).tolist()
        [[0.0, 1.0]]
        """
        self._check_fitted()
        rows = self._rows(X)
        logs = self._asked(rows).log_shares()
        return np.exp(logs, out=logs).astype(self._answer_type(rows), copy=False)

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.int64]]:
        """Rows (n, d) drawn from the model and their components (n,), grouped by component.

        `random_state` decides the draw: an int gives the same rows each time. Raises
        `NotFittedError` before `fit`, `InvalidInput` for fewer than one row.

        >>> from gmm_core import GaussianMixture
        >>> X, y = GaussianMixture(random_state=0).fit([[1.0], [3.0]]).sample(3)
        >>> X.round(1).tolist(), y.tolist()
        ([[3.8], [2.4], [3.0]], [0, 0, 0])
        """
        self._check_fitted("weights_", "means_", "covariances_")
        check_settings({"n_samples": n_samples})
        rng = self._rng()
        weights, means, covariances = (
            np.asarray(part, dtype=np.float64)
            for part in (self.weights_, self.means_, self.covariances_)
        )
        counts = rng.multinomial(n_samples, weights / weights.sum())
        d = means.shape[1]
        matrices = self._kind().scatter_type == "full"
        each = np.broadcast_to(covariances, (len(means), d, d)) if matrices else covariances
        drawn = [
            rng.multivariate_normal(mean, covariance, int(count), check_valid="ignore")
            if matrices
            else mean + rng.standard_normal((count, d)) * np.sqrt(covariance)
            for mean, covariance, count in zip(means, each, counts, strict=True)
        ]
        return np.vstack(drawn), np.repeat(np.arange(len(counts)), counts)

    @property
    def mixture_(self) -> Mixture:
        """The fitted attributes as a `Mixture`; what `fit` found, unless they were changed since.

        Raises `NotFittedError` before `fit`, `InvalidInput` when the attributes are no mixture.

        >>> from gmm_core import GaussianMixture
        >>> GaussianMixture().fit([[1.0], [3.0]]).mixture_.mean().tolist()
        [2.0]
        """
        self._check_fitted()
        found: Mixture | None = getattr(self, "_mixture", None)
        if found is not None and self._holds(found):
            return found
        joint = self._joint()
        weights = np.asarray(self.weights_, dtype=np.float64)
        factors = np.asarray(self.precisions_cholesky_, dtype=np.float64)
        covariances = covariances_of(
            precisions_of(factors, self.covariance_type), self.covariance_type
        )
        return Mixture(weights / weights.sum(), joint.means, covariances, self.covariance_type)

    def _set_mixture(self, mixture: Mixture, dtype: Any = np.float64) -> Self:
        """Set the parameter attributes, in `dtype` where it holds them all, else in float64."""
        factors = factors_of(mixture)
        precisions = precisions_of(factors, mixture.covariance_type)
        if not holds(dtype, mixture, factors, precisions):
            dtype = np.float64
        self._mixture = mixture
        self.weights_ = mixture.weights.astype(dtype)
        self.means_ = mixture.means.astype(dtype)
        self.covariances_ = mixture.covariances.astype(dtype)
        self.precisions_cholesky_ = factors.astype(dtype)
        self.precisions_ = precisions.astype(dtype)
        return self

    def _holds(self, mixture: Mixture) -> bool:
        """Whether the attributes still are those that `_set_mixture` made of it."""
        kept = (self.weights_, self.means_, self.precisions_cholesky_)
        made = (mixture.weights, mixture.means, factors_of(mixture))
        return all(
            np.array_equal(a, b.astype(np.asarray(a).dtype))
            for a, b in zip(kept, made, strict=True)
        )

    def _check_fitted(self, *names: str) -> None:
        names = names or ("weights_", "means_", "precisions_cholesky_")
        needed = ", ".join(names)
        message = f"This %(name)s instance is not fitted yet: call `fit` first, or set {needed}."
        check_is_fitted(self, names, msg=message)

    def _rng(self) -> np.random.RandomState:
        """What `random_state` stands for; raises `InvalidInput` for what is none."""
        try:
            rng: np.random.RandomState = check_random_state(self.random_state)
        except (TypeError, ValueError):
            raise InvalidInput(
                "random_state",
                got=self.random_state,
                bound="None, a whole number from 0 to 4294967295, or a numpy RandomState",
            ) from None
        return rng

    def _check_settings(self) -> None:
        """Raises `InvalidInput` for a parameter of the constructor that `fit` cannot use."""
        check_settings(self.get_params(deep=False))
        self._rng()

    def _fit_rows(
        self, X: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[Any], Array | None]:
        """Checked rows and weights of a fit, without the rows of weight 0.

        Raises `InvalidInput`, or `FitFailed` for a constant feature, before any start is sought.
        """
        rows = self._rows(X, reset=True)
        weight = as_weights(sample_weight, len(rows))
        if weight is not None and not weight.all():
            rows, weight = rows[weight > 0], weight[weight > 0]
        if len(rows) < self.n_components:
            raise InvalidInput(
                "Expected n_samples >= n_components: fewer rows than components",
                got=len(rows),
                bound=f"at least n_components = {self.n_components}",
                remedy="lower n_components",
            )
        missing = getattr(self, "missing", None)
        how = (self.reg_covar, self.n_components)
        Rows.of(rows, weight, *how, isotropic=self._kind().isotropic, missing=missing)
        return rows, weight

    def _check_warm(self, mixture: Mixture, d: int) -> None:
        """Raises `InvalidInput` unless a fit of d features can go on from the mixture of the last."""
        names = ("n_components", "features", "covariance_type")
        before = (mixture.n_components, mixture.n_features, mixture.covariance_type)
        now = (self.n_components, d, self.covariance_type)
        if before != now:
            told, wanted = (
                ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
                for values in (before, now)
            )
            raise InvalidInput(
                f"warm_start goes on from a fit of other components, features or type: {told}",
                bound=wanted,
                remedy="set warm_start=False to begin anew",
            )

    def _rows(self, X: Any, *, reset: bool = False, least: int | None = None) -> NDArray[Any]:
        """Checked rows (n, d), `least` or more; `reset` learns the features instead of checking."""
        d = None if reset else np.shape(self.means_)[-1]
        least = (2 if reset else 1) if least is None else least
        if column_names(X) is None:
            rows = validate_data(
                self,
                X,
                reset=reset,
                dtype=_FLOATS,
                ensure_all_finite=False,
                ensure_min_samples=least,
            )
            return as_rows(rows, d, getattr(self, "missing", None))
        validate_data(self, X, reset=reset, skip_check_array=True)
        rows = as_rows(X, d, getattr(self, "missing", None))
        check_array(rows, estimator=self, ensure_all_finite=False, ensure_min_samples=least)
        return rows

    def _kind(self) -> CovarianceKind:
        return kind_of(self.covariance_type)

    def _joint(self) -> Joint:
        """Log of weight times density as the attributes have it now."""
        kind = self._kind()
        means = frozen_array(self.means_, "means_", (None, None))
        k, d = means.shape
        weights = frozen_array(self.weights_, "weights_", (k,))
        factors = frozen_array(self.precisions_cholesky_, "precisions_cholesky_", kind.shape(k, d))
        whiteners = whiteners_of(factors, kind, k, d)
        diagonal = whitener_diagonal(whiteners)
        with np.errstate(divide="ignore"):  # a weight of 0 set by hand: never responsible
            offsets = np.log(weights) + np.log(diagonal).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
        return Joint(offsets, means, whiteners)

    def _log_prob(self, rows: NDArray[Any]) -> Array:
        return self._asked(rows).log_prob()

    def _labels(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        return self._asked(rows).component()

    def _asked(self, rows: NDArray[Any]) -> Evaluation:
        joint, kind = self._joint(), self._kind()
        return Evaluation(rows, joint, lambda part: log_joint(part, joint, kind))

    def _answer_type(self, rows: NDArray[Any]) -> Any:
        return np.result_type(rows.dtype, np.asarray(self.means_).dtype)
