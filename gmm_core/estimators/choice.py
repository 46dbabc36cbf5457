"""An estimator that chooses its number of components, by `gmm_core.selection`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from gmm_core.arrays import Array, as_weights
from gmm_core.em import FitResult
from gmm_core.errors import InvalidInput
from gmm_core.estimators.base import MixtureEstimator
from gmm_core.estimators.trial import tell
from gmm_core.fitting.background import start_share
from gmm_core.selection import choose
from gmm_core.settings import check_settings

__all__ = ["ChoosingEstimator", "readable_again"]

_INITIAL = ("weights_init", "means_init", "precisions_init")


def readable_again(n_components: Any) -> Any:
    """The same; raises `InvalidInput` for an iterator, of which no clone could be made.

    >>> readable_again(range(1, 3))
    range(1, 3)
    """
    if isinstance(n_components, Iterator):
        raise InvalidInput(
            "n_components",
            got=n_components,
            bound="a whole number, or several in a range, list or tuple",
            remedy="write list(...) around it",
        )
    return n_components


class ChoosingEstimator(MixtureEstimator):
    """Base of estimators whose `n_components` may be several numbers, of which `fit` keeps the best.

    A subclass has the parameters of `GaussianMixture`, and calls `_choose` in
    `fit` when `_undecided`.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginalise"
        return tags

    @property
    def _undecided(self) -> bool:
        several = readable_again(self.n_components)
        return np.iterable(several) and not isinstance(several, (str, bytes))

    def _choose(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        """Fit a clone with each number, and become the best; `selection_` tells of all.

        Raises as `select`, and `InvalidInput` for initial parameters, which are of one number alone;
        warns (`ConvergenceWarning`) of the best alone.
        """
        self._check_settings()
        for name in _INITIAL:
            if getattr(self, name) is not None:
                raise InvalidInput(
                    f"{name} are those of one number of components, n_components are several",
                    got=getattr(self, name),
                    bound="None",
                    remedy=f"leave {name} out, or give one n_components",
                )
        rows = self._rows(X, reset=True)
        seed = int(self._rng().randint(2**31 - 1))
        fitted: dict[int, Self] = {}

        def fitter(k: int, part: NDArray[Any], weight: Array | None) -> FitResult:
            model = clone(self).set_params(n_components=k)
            if self.verbose:
                tell(f"n_components={k}, {len(part)} rows")
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
            background=start_share(self.background) > 0,
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

    def _check_settings(self) -> None:
        settings = self.get_params(deep=False)
        if self._undecided:  # `choose` checks the numbers
            del settings["n_components"]
        check_settings(settings)
        start_share(self.background)
        self._rng()

    def _seeded_by_fit(self, rows: NDArray[Any]) -> bool:
        """Whether starts must be those of `fit`, which knows of outliers and missing values."""
        return bool(self.background) or bool(np.isnan(rows.min(initial=0)))
