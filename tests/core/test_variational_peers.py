"""Variational Bayes against the book and against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from mixtures import KINDS, random_rows
from posteriors import PRIORS, own_prior, shares_for
from scipy.special import digamma, gammaln, multigammaln

from gmm_core.arrays import Array
from gmm_core.gaussian import log_normalise
from gmm_core.variational.fit import fit_bayesian


def plain_update(X: Array, shares: Array, prior: dict) -> dict:
    """Equations 10.51 to 10.63 of Bishop 2006, one component and one row at a time."""
    k, d = shares.shape[1], X.shape[1]
    after: dict = {name: [] for name in ("alpha", "beta", "m", "W", "nu")}
    for c in range(k):
        rows = sum(shares[:, c])
        mean = sum(r * x for r, x in zip(shares[:, c], X, strict=True)) / rows
        scatter = sum(
            r * np.outer(x - mean, x - mean) for r, x in zip(shares[:, c], X, strict=True)
        )
        beta, away = prior["beta"] + rows, mean - prior["m"]
        inverse = (
            np.linalg.inv(prior["W"]) + scatter + prior["beta"] * rows / beta * np.outer(away, away)
        )
        for name, value in (
            ("alpha", prior["alpha"] + rows),
            ("beta", beta),
            ("m", (prior["beta"] * prior["m"] + rows * mean) / beta),
            ("W", np.linalg.inv(inverse)),
            ("nu", prior["nu"] + rows),
        ):
            after[name].append(value)
    after["log_pi"] = digamma(after["alpha"]) - digamma(sum(after["alpha"]))
    after["log_det"] = [
        sum(digamma((nu - i) / 2) for i in range(d)) + d * np.log(2) + np.log(np.linalg.det(W))
        for nu, W in zip(after["nu"], after["W"], strict=True)
    ]
    return after


def plain_shares(X: Array, q: dict) -> Array:
    """Equations 10.46 to 10.49 and 10.64."""
    k, d = len(q["nu"]), X.shape[1]
    rho = np.empty((len(X), k))
    for n, x in enumerate(X):
        for c in range(k):
            squared = d / q["beta"][c] + q["nu"][c] * (x - q["m"][c]) @ q["W"][c] @ (x - q["m"][c])
            rho[n, c] = np.exp(
                q["log_pi"][c] + q["log_det"][c] / 2 - d / 2 * np.log(2 * np.pi) - squared / 2
            )
    return rho / rho.sum(axis=1, keepdims=True)


def plain_bound(X: Array, shares: Array, q: dict, prior: dict) -> float:
    """Equations 10.70 to 10.77, every term of them."""
    k, d = shares.shape[1], X.shape[1]

    def log_B(W: Array, nu: float) -> float:
        return float(
            -nu / 2 * np.log(np.linalg.det(W)) - nu * d / 2 * np.log(2) - multigammaln(nu / 2, d)
        )

    total = -(shares * np.log(shares)).sum()
    total += gammaln(k * prior["alpha"]) - k * gammaln(prior["alpha"])
    total -= gammaln(sum(q["alpha"])) - gammaln(q["alpha"]).sum()
    for c in range(k):
        log_det, m, W, nu, beta = (q[name][c] for name in ("log_det", "m", "W", "nu", "beta"))
        for x, r in zip(X, shares[:, c], strict=True):
            squared = d / beta + nu * (x - m) @ W @ (x - m)
            total += r * (q["log_pi"][c] + 0.5 * (log_det - d * np.log(2 * np.pi) - squared))
        total += (prior["alpha"] - q["alpha"][c]) * q["log_pi"][c]
        away = m - prior["m"]
        total += 0.5 * d * np.log(prior["beta"] / beta) + 0.5 * d
        total -= 0.5 * prior["beta"] * (d / beta + nu * away @ W @ away)
        total += log_B(prior["W"], prior["nu"]) - log_B(W, nu) + 0.5 * nu * d
        total += 0.5 * (prior["nu"] - nu) * log_det
        total -= 0.5 * nu * np.trace(np.linalg.inv(prior["W"]) @ W)
    return float(total)


def test_against_the_book():
    """Two iterations, row by row; the bound with all the constants that ours leaves out."""
    X, shares = random_rows(4, 40, 2), shares_for(40, 3)
    own = own_prior("full", 2)
    book = {
        "alpha": 0.3,
        "beta": 0.5,
        "m": own["mean_prior"],
        "nu": 3.5,
        "W": np.linalg.inv(own["covariance_prior"]),
    }
    result = fit_bayesian(
        X,
        3,
        weight_concentration_prior_type="dirichlet_distribution",
        start=shares,
        reg_covar=0,
        tol=0,
        max_iter=2,
        **own,
    )
    q, bounds = plain_update(X, shares, book), []
    for _ in range(2):
        shares = plain_shares(X, q)
        q = plain_update(X, shares, book)
        bounds.append(plain_bound(X, shares, q, book))
    posterior = result.posterior
    np.testing.assert_allclose(posterior.concentration, q["alpha"], atol=1e-10)
    np.testing.assert_allclose(posterior.mean_precision, q["beta"], atol=1e-10)
    np.testing.assert_allclose(posterior.means, q["m"], atol=1e-10)
    np.testing.assert_allclose(posterior.degrees_of_freedom, q["nu"], atol=1e-10)
    inverse = [np.linalg.inv(nu * W) for nu, W in zip(q["nu"], q["W"], strict=True)]
    np.testing.assert_allclose(posterior.covariances, inverse, atol=1e-10)
    np.testing.assert_allclose(
        np.exp(log_normalise(posterior.log_joint(X))[1]), plain_shares(X, q), atol=1e-10
    )
    np.testing.assert_allclose(np.diff(result.trace), np.diff(bounds), rtol=1e-9)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("kind", KINDS)
def test_against_scikit_learn(kind, prior, d, kernel, own):
    from sklearn.mixture import BayesianGaussianMixture

    X = 7 * random_rows(3, 400, d, groups=4) + 50
    draw = np.random.RandomState(0).uniform(size=(400, 5))
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "reg_covar": 1e-3,
        "tol": 0,
        "max_iter": 25,
        **(own_prior(kind, d) if own else {}),
    }
    peer = BayesianGaussianMixture(n_components=5, init_params="random", random_state=0, **same)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that 25 iterations were not enough: they are
        peer.fit(X)
    start = draw / draw.sum(axis=1, keepdims=True)
    ours = fit_bayesian(X, 5, start=start, kernel=kernel, **same)
    posterior = ours.posterior
    assert ours.iterations == peer.n_iter_
    for mine, theirs in (
        (posterior.means, peer.means_),
        (posterior.covariances, peer.covariances_),
        (posterior.mean_precision, peer.mean_precision_),
        (posterior.concentration, np.asarray(peer.weight_concentration_)),
        (posterior.degrees_of_freedom, np.broadcast_to(peer.degrees_of_freedom_, 5)),
        (ours.mixture.weights, peer.weights_),
        (ours.trace, np.ravel(peer.lower_bounds_)),
        (log_normalise(posterior.log_joint(X))[0], peer.score_samples(X)),
        (np.exp(log_normalise(posterior.log_joint(X))[1]), peer.predict_proba(X)),
        (ours.prior.mean, peer.mean_prior_),
        (
            ours.prior.covariance,
            np.broadcast_to(peer.covariance_prior_, ours.prior.covariance.shape),
        ),
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-8, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prior", PRIORS)
def test_it_ends_with_the_same_iteration_as_scikit_learn(kind, prior):
    from sklearn.mixture import BayesianGaussianMixture

    X = random_rows(8, 300, 2)
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "tol": 1e-2,
        "max_iter": 500,
    }
    peer = BayesianGaussianMixture(n_components=4, init_params="random", random_state=1, **same)
    peer.fit(X)
    draw = np.random.RandomState(1).uniform(size=(300, 4))
    ours = fit_bayesian(X, 4, start=draw / draw.sum(axis=1, keepdims=True), **same)
    assert ours.converged
    assert peer.converged_
    assert ours.iterations == peer.n_iter_
    np.testing.assert_allclose(ours.lower_bound, np.ravel(peer.lower_bound_)[0], rtol=1e-10)
