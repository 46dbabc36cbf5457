"""EM against a plain loop that follows the textbook, and against scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from mixtures import KINDS, random_rows, start_for

from gmm_core.em import fit
from gmm_core.mixture import Mixture

both_kernels = pytest.mark.parametrize("kernel", ["numpy", "compiled"])


def textbook_em(
    X: np.ndarray, start: Mixture, steps: int, reg: float, weight: np.ndarray
) -> tuple[list[float], list[np.ndarray], list[np.ndarray], float]:
    """EM one row, one component at a time; densities by determinant and inverse."""
    n, d = X.shape
    k = start.n_components
    weights, means = list(start.weights), list(start.means)
    covariances = list(start.full_covariances())

    def densities(x: np.ndarray) -> list[float]:
        result = []
        for j in range(k):
            delta = x - means[j]
            squared = delta @ np.linalg.inv(covariances[j]) @ delta
            volume = math.sqrt((2 * math.pi) ** d * np.linalg.det(covariances[j]))
            result.append(weights[j] * math.exp(-0.5 * squared) / volume)
        return result

    for _ in range(steps):
        shares = np.array(
            [
                np.array(p) / sum(p) * w
                for x, w in zip(X, weight, strict=True)
                for p in [densities(x)]
            ]
        )
        spreads = []
        for j in range(k):
            total = shares[:, j].sum()
            means[j] = sum(shares[i, j] * X[i] for i in range(n)) / total
            spreads.append(
                sum(shares[i, j] * np.outer(X[i] - means[j], X[i] - means[j]) for i in range(n))
            )
            weights[j] = total / weight.sum()
        for j in range(k):
            own = spreads[j] / shares[:, j].sum()
            covariances[j] = (
                reg * np.eye(d)
                + {
                    "full": own,
                    "tied": sum(spreads) / weight.sum(),
                    "diag": np.diag(np.diagonal(own)),
                    "spherical": np.trace(own) / d * np.eye(d),
                }[start.covariance_type]
            )
    likelihood = (
        sum(w * math.log(sum(densities(x))) for x, w in zip(X, weight, strict=True)) / weight.sum()
    )
    return weights, means, covariances, likelihood


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reg", [0.0, 0.05])
def test_against_the_textbook(kind, weighted, reg, kernel):
    X = random_rows(11, 80, 2)
    start = start_for(X, 3, kind, 12)
    weight = np.random.default_rng(1).random(80) + 0.1 if weighted else np.ones(80)
    result = fit(
        X,
        3,
        covariance_type=kind,
        start=start,
        reg_covar=reg,
        tol=0,
        max_iter=7,
        sample_weight=weight if weighted else None,
        kernel=kernel,
    )
    assert result.iterations == 7
    weights, means, covariances, likelihood = textbook_em(X, start, 7, reg, weight)
    np.testing.assert_allclose(result.mixture.weights, weights, atol=1e-10)
    np.testing.assert_allclose(result.mixture.means, means, atol=1e-9)
    np.testing.assert_allclose(result.mixture.full_covariances(), covariances, atol=1e-9)
    assert result.log_likelihood == pytest.approx(likelihood, abs=1e-10)


@both_kernels
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_against_scikit_learn(kind, seed, kernel):
    from sklearn.mixture import GaussianMixture

    X = random_rows(seed, 1_000, 3, groups=4)
    start = start_for(X, 4, kind, seed)
    inverted = np.linalg.inv if kind in ("full", "tied") else np.reciprocal
    steps = {"covariance_type": kind, "reg_covar": 1e-3, "tol": 0, "max_iter": 12}
    peer = GaussianMixture(
        4,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=inverted(start.covariances),
        **steps,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that 12 iterations were not enough: they are
        peer.fit(X)
    ours = fit(X, 4, start=start, kernel=kernel, **steps)
    assert ours.iterations == peer.n_iter_ == 12
    np.testing.assert_allclose(ours.mixture.weights, peer.weights_, atol=1e-9)
    np.testing.assert_allclose(ours.mixture.means, peer.means_, atol=1e-9)
    np.testing.assert_allclose(ours.mixture.covariances, peer.covariances_, atol=1e-9)
    np.testing.assert_allclose(ours.mixture.log_prob(X), peer.score_samples(X), atol=1e-9)
    assert ours.log_likelihood == pytest.approx(peer.score(X), abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_no_worse_than_scikit_learn_from_their_own_starts(kind):
    """Over several data sets, the better of one start each: seeding must not be the weak part."""
    from sklearn.mixture import GaussianMixture

    ours, theirs = [], []
    for seed in range(6):
        X = random_rows(seed, 400, 2, groups=5)
        peer = GaussianMixture(
            5, covariance_type=kind, reg_covar=1e-3, tol=1e-5, max_iter=300, random_state=seed
        ).fit(X)
        theirs.append(peer.score(X))
        ours.append(
            fit(X, 5, covariance_type=kind, reg_covar=1e-3, max_iter=300, seed=seed).log_likelihood
        )
    # Twice the deviation that the mean of so few differences has by chance.
    assert np.mean(ours) > np.mean(theirs) - 0.04
