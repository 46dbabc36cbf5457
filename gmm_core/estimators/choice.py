"""An estimator that chooses its number of components, by `gmm_core.selection`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from gmm_core.arrays import Array, as_weights
from gmm_core.em import FitResult
from gmm_core.estimators.base import MixtureEstimator
from gmm_core.selection import choose

__all__ = ["ChoosingEstimator"]


class ChoosingEstimator(MixtureEstimator):
    """Base of estimators whose `n_components` may be several numbers, of which `fit` keeps the best.

    A subclass has the parameters `criterion`, `missing` and `background`, and calls `_choose` in
    `fit` when `_undecided`.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginalise"
        return tags

    @property
    def _undecided(self) -> bool:
        several = self.n_components
        return isinstance(several, Iterable) and not isinstance(several, (str, bytes))

    def _choose(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        """Fit a clone with each number, and become the best; `selection_` tells of all.

        Raises as `select`; warns (`ConvergenceWarning`) of the best alone.
        """
        rows = self._rows(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fitted: dict[int, Self] = {}

        def fitter(k: int, part: NDArray[Any], weight: Array | None) -> FitResult:
            model = clone(self).set_params(n_components=k)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(part, sample_weight=weight)
            fitted.setdefault(k, model)  # the first time it is all rows, then parts of them
            found: FitResult = model.result_
            return found

        self.selection_ = choose(
            fitter,
            rows,
            self.n_components,
            criterion=self.criterion,
            seed=seed,
            sample_weight=as_weights(sample_weight, len(rows)),
            missing=self.missing,
            background=bool(self.background),
        )
        best = vars(fitted[self.selection_.n_components])
        own = ("n_features_in_", "feature_names_in_")  # the clone was given an array
        learnt = {name for name in best if name.endswith("_") or name == "_mixture"}
        self.__dict__.update({name: best[name] for name in learnt.difference(own)})
        if not best["converged_"]:
            warnings.warn(
                "The start that won did not converge. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _seeded_by_fit(self, rows: NDArray[Any]) -> bool:
        """Whether starts must be those of `fit`, which knows of outliers and missing values."""
        return bool(self.background) or bool(np.isnan(rows.min(initial=0)))
