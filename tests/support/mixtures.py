"""Random but reproducible mixtures, rows and block summaries, for tests of the numerics."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from gmm_core.block import fit_block
from gmm_core.features import Feature
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.summary import BlockSummary

KINDS: tuple[CovarianceType, ...] = ("full", "tied", "diag", "spherical")
# Those in which components share nothing and features may have any unit.
OWN_KINDS: tuple[CovarianceType, ...] = ("full", "diag")

seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(KINDS)
own_kinds = st.sampled_from(OWN_KINDS)


def random_mixture(
    seed: int, k: int, d: int, covariance_type: CovarianceType = "full", spread: float = 4.0
) -> Mixture:
    """Weights, means and correlated covariances of moderate condition."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(k, 3.0)) + 1e-3
    means = rng.normal(0, spread, (k, d))
    roots = rng.normal(0, 1, (k, d, d)) / np.sqrt(d)
    full = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(d)
    full = (full + full.transpose(0, 2, 1)) / 2
    covariances = kind_of(covariance_type).of_full(full, weights)
    return Mixture(weights / weights.sum(), means, covariances, covariance_type)


def random_rows(seed: int, n: int, d: int, groups: int = 3) -> np.ndarray:
    """Rows of a few groups, in random order."""
    return random_mixture(seed, groups, d).sample(n, seed)


def start_for(X: np.ndarray, k: int, covariance_type: CovarianceType, seed: int) -> Mixture:
    """A plain start of EM: k of the rows as means, equal weights, the rows' own variances."""
    rows = np.random.default_rng(seed).choice(len(X), k, replace=False)
    full = np.tile(np.diag(X.var(axis=0)), (k, 1, 1))
    covariances = kind_of(covariance_type).of_full(full, np.full(k, 1 / k))
    return Mixture(np.full(k, 1 / k), X[rows], covariances, covariance_type)


def random_summary(
    seed: int,
    key: str = "2024-05-01",
    *,
    n: int = 200,
    d: int = 2,
    k: int = 3,
    covariance_type: CovarianceType = "full",
    regularisation: float = 1e-3,
) -> BlockSummary:
    """The summary of a fitted block of random rows."""
    return fit_block(
        "made_up",
        key,
        [Feature(f"x{index}") for index in range(d)],
        random_rows(seed, n, d),
        k=k,
        covariance_type=covariance_type,
        regularisation=regularisation,
        restarts=1,
        max_iterations=30,
        seed=seed,
        input_digest=f"digest of {seed}",
        fit_fingerprint="settings",
    )


def permuted(mixture: Mixture, seed: int) -> Mixture:
    """The same mixture with its components listed in another order."""
    order = np.random.default_rng(seed).permutation(mixture.n_components)
    return Mixture(
        mixture.weights[order],
        mixture.means[order],
        mixture.kind.picked(mixture.covariances, order),
        mixture.covariance_type,
    )
