"""Random but reproducible mixtures, rows and block summaries, for tests of the numerics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from gmm_core.block import fit_block
from gmm_core.em import FitResult
from gmm_core.features import Feature
from gmm_core.gaussian import CovarianceType, kind_of
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.summary import BlockSummary

KINDS: tuple[CovarianceType, ...] = ("full", "tied", "diag", "spherical")
# Those in which components share nothing and features may have any unit.
OWN_KINDS: tuple[CovarianceType, ...] = ("full", "diag")

# What of the rows' covariance an M-step keeps, and so each merge and reduction of components.
KEPT: dict[CovarianceType, Callable[[np.ndarray], np.ndarray]] = {
    "full": lambda covariance: covariance,
    "tied": lambda covariance: covariance,
    "diag": np.diagonal,
    "spherical": np.trace,
}

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


def linear_map(covariance_type: CovarianceType) -> np.ndarray:
    """A (2, 2) map of rows that covariances of this type can follow.

    "full" and "tied" follow every invertible map, "diag" those that keep the axes, "spherical" those
    that keep angles.
    """
    if covariance_type in ("full", "tied"):
        return np.array([[2.0, 0.7], [-0.3, 0.5]])
    if covariance_type == "diag":
        return np.array([[0.0, 2.0], [-0.5, 0.0]])
    return 1.7 * np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])


def units(covariance_type: CovarianceType, unit: float) -> np.ndarray:
    """(2,) factors from one unit to another: features' own, but for "spherical" one for both."""
    return np.array([unit, unit if covariance_type == "spherical" else 1.0])


def mapped(mixture: Mixture, A: np.ndarray, shift: float = 0.0) -> Mixture:
    """The mixture of the rows A x + shift."""
    full = A @ mixture.full_covariances() @ A.T
    full = (full + full.transpose(0, 2, 1)) / 2
    covariances = mixture.kind.of_full(full, mixture.weights)
    means = mixture.means @ A.T + shift
    return Mixture(mixture.weights, means, covariances, mixture.covariance_type)


def assert_same_mixture(a: Mixture, b: Mixture, rtol: float = 1e-7, atol: float = 1e-9) -> None:
    """Equal but for rounding, component by component."""
    assert a.covariance_type == b.covariance_type
    np.testing.assert_allclose(a.weights, b.weights, rtol=rtol, atol=atol)
    np.testing.assert_allclose(a.means, b.means, rtol=rtol, atol=atol)
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=rtol, atol=atol)


def assert_moments_are_those_of(
    X: np.ndarray,
    result: FitResult,
    reg_covar: float | np.ndarray = 0.0,
    weight: np.ndarray | None = None,
    rounding: float = 1e-10,
) -> None:
    """The law that the M-step gives: the mixture's mean is the rows' own, and so is its covariance.

    The latter but for the variance added, and as far as the type keeps it: `KEPT`.
    """
    mixture, moments = result.mixture, Moments.of(X, weight)
    kept, d = KEPT[mixture.covariance_type], X.shape[1]
    sd = np.sqrt(np.diagonal(moments.covariance))
    rounding += 1e-14 * np.abs(moments.mean / sd).max()
    # Means in the units that the fit computes in: one for all features where these share a variance.
    unit = np.full(d, sd.max()) if mixture.covariance_type == "spherical" else sd
    assert (np.abs(mixture.mean() - moments.mean) / unit).max() < rounding
    added = np.diag(np.broadcast_to(reg_covar, d))
    difference = mixture.covariance() - added - moments.covariance
    assert (np.abs(kept(difference)) / kept(np.outer(unit, unit))).max() < 10 * rounding
