"""scikit-learn's mixtures, both ways: fitted estimators with the attributes that `fit` would have set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gmm_core.errors import InvalidInput
from gmm_core.extras import optional
from gmm_core.gaussian import KINDS
from gmm_core.mixture import Mixture

if TYPE_CHECKING:
    from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

__all__ = ["from_sklearn", "to_sklearn"]


def to_sklearn(mixture: Mixture) -> GaussianMixture:
    """A fitted `sklearn.mixture.GaussianMixture` of the same parameters, in feature space.

    Raises `MissingExtra` without scikit-learn.

    >>> model = to_sklearn(Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical"))
    >>> model.predict([[1.0], [3.0]]).tolist()
    [0, 1]
    """
    sklearn = optional("sklearn.mixture", "exports to scikit-learn", "scikit-learn")
    model = sklearn.GaussianMixture(
        mixture.n_components, covariance_type=mixture.covariance_type, warm_start=False
    )
    whiteners = np.array(mixture.whiteners)
    roots = whiteners.swapaxes(1, 2) if whiteners.ndim == 3 else whiteners
    if mixture.covariance_type == "tied":
        roots = roots[0]
    elif mixture.covariance_type == "spherical":
        roots = roots[:, 0]
    model.weights_, model.means_ = mixture.weights.copy(), mixture.means.copy()
    model.covariances_ = mixture.covariances.copy()
    # Upper triangular, its product with its transpose being the precision.
    model.precisions_cholesky_ = np.ascontiguousarray(roots)
    matrices = whiteners.ndim == 3
    model.precisions_ = roots @ roots.swapaxes(-1, -2) if matrices else np.square(roots)
    model.n_features_in_ = mixture.n_features
    model.converged_, model.n_iter_, model.lower_bound_ = True, 0, np.nan
    return model


def from_sklearn(model: GaussianMixture | BayesianGaussianMixture) -> Mixture:
    """The mixture of a fitted estimator; components whose weight is 0 are left out.

    Raises `InvalidInput` for what is no fitted mixture of scikit-learn.
    """
    kind = getattr(model, "covariance_type", None)
    fitted = all(hasattr(model, name) for name in ("weights_", "means_", "covariances_"))
    if kind not in KINDS or not fitted:
        raise InvalidInput(
            "not a fitted mixture of scikit-learn",
            got=type(model).__name__,
            bound="GaussianMixture or BayesianGaussianMixture, after fit",
        )
    weights, means, covariances = (
        np.asarray(value, dtype=np.float64)
        for value in (model.weights_, model.means_, model.covariances_)
    )
    kept = weights > 0
    if kind != "tied":
        covariances = covariances[kept]
    return Mixture(weights[kept] / weights[kept].sum(), means[kept], covariances, kind)
