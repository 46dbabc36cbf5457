"""Priors and responsibilities to fit with, and posteriors compared, for tests of variational Bayes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from gmm_core.arrays import Array
from gmm_core.variational.fit import BayesianResult
from gmm_core.variational.weight_priors import WEIGHT_PRIORS

PRIORS = tuple(WEIGHT_PRIORS)


priors = st.sampled_from(PRIORS)


def shares_for(n: int, k: int, seed: int = 0) -> Array:
    """Responsibilities to start from."""
    shares = np.random.default_rng(seed).uniform(size=(n, k))
    return shares / shares.sum(axis=1, keepdims=True)


def own_prior(kind: str, d: int) -> dict:
    """Priors unlike the default ones."""
    covariance = {"full": np.eye(d) + 0.3, "tied": np.eye(d) + 0.3, "diag": np.arange(d) + 0.5}
    return {
        "weight_concentration_prior": 0.3,
        "mean_precision_prior": 0.5,
        "mean_prior": np.arange(d) + 0.5,
        "degrees_of_freedom_prior": d + 1.5,
        "covariance_prior": covariance.get(kind, 2.0),
    }


def assert_same_posterior(
    a: BayesianResult, b: BayesianResult, rtol: float = 1e-7, atol: float = 1e-8
) -> None:
    """Equal but for rounding, and after as many iterations."""
    close = {"rtol": rtol, "atol": atol}
    np.testing.assert_allclose(a.mixture.weights, b.mixture.weights, **close)
    for name in (
        *("concentration", "mean_precision", "means"),
        *("degrees_of_freedom", "covariances"),
    ):
        np.testing.assert_allclose(
            getattr(a.posterior, name), getattr(b.posterior, name), **close, err_msg=name
        )
    np.testing.assert_allclose(a.trace, b.trace, rtol=max(rtol, 1e-9), atol=1e-6)
