"""Laws of variational Bayes, a slow oracle, and scikit-learn as peer."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, kinds, own_kinds, random_mixture, random_rows, seeds, start_for
from scipy.special import digamma, gammaln, multigammaln

from gmm_core.arrays import Array
from gmm_core.em import FitStatus
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.gaussian import log_normalise
from gmm_core.mixture import Mixture
from gmm_core.variational.fit import BayesianResult, fit_bayesian
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


def assert_same(
    a: BayesianResult, b: BayesianResult, rtol: float = 1e-7, atol: float = 1e-8
) -> None:
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


@given(seeds, st.integers(1, 5), st.integers(1, 3), kinds, priors, st.booleans())
def test_the_lower_bound_never_falls(seed, k, d, kind, prior, own):
    X = random_rows(seed, 100, d)
    result = fit_bayesian(
        X,
        k,
        covariance_type=kind,
        weight_concentration_prior_type=prior,
        reg_covar=0,
        tol=0,
        max_iter=25,
        seed=seed,
        **(own_prior(kind, d) if own else {}),
    )
    assert len(result.trace) == result.iterations == 25
    assert result.trace[-1] == result.lower_bound
    # An empty component seems to hold 2e-15 rows: the only other thing beside rounding.
    assert (np.diff(result.trace) >= -1e-10 * (1 + np.abs(result.trace[:-1]))).all()


@given(seeds, kinds, priors)
def test_it_loses_no_more_than_the_blur_of_the_rows(seed, kind, prior):
    X = random_rows(seed, 100, 2)
    reg = 1e-3
    result = fit_bayesian(
        X,
        4,
        covariance_type=kind,
        weight_concentration_prior_type=prior,
        reg_covar=reg,
        tol=0,
        max_iter=40,
        seed=seed,
    )
    # What the M-step sees and the E-step does not: half of reg times the trace of the precision.
    variances = result.mixture.kind.variances(result.mixture.covariances, 4, 2)
    blur = 0.5 * reg * len(X) * (1 / variances).sum(axis=1).max()
    assert np.diff(result.trace).min() >= -blur


@given(seeds, kinds, priors)
def test_the_order_of_rows_does_not_matter_for_a_given_start(seed, kind, prior):
    X, shares = random_rows(seed, 90, 2), shares_for(90, 3, seed)
    order = np.random.default_rng(seed).permutation(90)
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "max_iter": 8,
        "tol": 0,
    }
    a = fit_bayesian(X, 3, start=shares, **same)
    b = fit_bayesian(X[order], 3, start=shares[order], **same)
    assert_same(a, b)


@given(seeds, kinds, priors)
def test_a_row_of_weight_two_is_two_rows(seed, kind, prior):
    X, shares = random_rows(seed, 60, 2), shares_for(60, 3, seed)
    counts = np.random.default_rng(seed).integers(0, 4, 60)
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "max_iter": 8,
        "tol": 0,
    }
    weighted = fit_bayesian(X, 3, start=shares, sample_weight=counts, **same)
    repeated = fit_bayesian(
        X.repeat(counts, axis=0), 3, start=shares.repeat(counts, axis=0), **same
    )
    assert_same(weighted, repeated)


@given(seeds, own_kinds, priors, st.sampled_from([1e-3, 1.0, 1e6]), st.floats(-1e3, 1e3))
def test_units_do_not_matter(seed, kind, prior, unit, offset):
    X, shares, scale = random_rows(seed, 90, 2), shares_for(90, 3, seed), np.array([unit, 1.0])
    both = np.outer(scale, scale) if kind == "full" else scale**2
    same = {
        "covariance_type": kind,
        "weight_concentration_prior_type": prior,
        "start": shares,
        "max_iter": 8,
        "tol": 0,
    }
    here_prior = own_prior(kind, 2)
    there_prior = here_prior | {
        "mean_prior": here_prior["mean_prior"] * scale + offset,
        "covariance_prior": here_prior["covariance_prior"] * both,
    }
    here = fit_bayesian(X, 3, reg_covar=1e-3, **here_prior, **same)
    there = fit_bayesian(X * scale + offset, 3, reg_covar=1e-3 * scale**2, **there_prior, **same)
    # Adding the offset rounds the rows themselves, the more the smaller the unit.
    atol = 1e-7 + 1e-11 * abs(offset) / unit
    means = (there.posterior.means - offset) / scale
    np.testing.assert_allclose(means, here.posterior.means, atol=atol)
    np.testing.assert_allclose(
        there.posterior.covariances / both, here.posterior.covariances, atol=atol, rtol=1e-6
    )
    np.testing.assert_allclose(there.mixture.weights, here.mixture.weights, atol=atol)
    # A density per unit, once for each row and for each degree of freedom of the prior.
    volume = np.log(unit) * (90 + 3 * here_prior["degrees_of_freedom_prior"])
    np.testing.assert_allclose(np.add(there.trace, volume), here.trace, atol=1e-5 + 1e3 * atol)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_offset_costs_no_digits(kind):
    X = np.round(random_rows(3, 200, 2) * 1024) / 1024  # so that adding 2^27 is exact
    same = {"covariance_type": kind, "start": shares_for(200, 3), "max_iter": 20, "tol": 0}
    here, there = fit_bayesian(X, 3, **same), fit_bayesian(X + 2.0**27, 3, **same)
    np.testing.assert_allclose(there.mixture.covariances, here.mixture.covariances, rtol=1e-6)
    np.testing.assert_allclose(there.trace, here.trace, rtol=1e-8)


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


@pytest.mark.parametrize("kind", KINDS)
def test_components_without_use_vanish(kind):
    groups = Mixture(
        [0.2, 0.3, 0.5], [[-20.0, 0.0], [0.0, 20.0], [20.0, 0.0]], np.ones(3), "spherical"
    )
    for prior in PRIORS:
        result = fit_bayesian(
            groups.sample(600, seed=2),
            10,
            covariance_type=kind,
            weight_concentration_prior_type=prior,
            weight_concentration_prior=1e-3,
            max_iter=2_000,
        )
        weights = np.sort(result.mixture.weights)
        assert result.converged
        assert weights[:7].sum() < 0.02
        np.testing.assert_allclose(weights[7:], [0.2, 0.3, 0.5], atol=0.07)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("value", [1e-300, 1e-30, 1e3, 1e30])
def test_weights_stay_above_zero_whatever_the_concentration(prior, value):
    result = fit_bayesian(
        random_rows(1, 200, 2),
        30,
        weight_concentration_prior_type=prior,
        weight_concentration_prior=value,
        max_iter=60,
    )
    assert (result.mixture.weights > 0).all()
    assert np.isfinite(result.trace).all()


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_comes_as_close_as_its_digits_allow(kind, kernel):
    X = random_rows(6, 2_000, 2)
    same = {"covariance_type": kind, "start": shares_for(2_000, 3), "max_iter": 20, "tol": 0}
    double = fit_bayesian(X, 3, **same)
    single = fit_bayesian(X.astype(np.float32), 3, kernel=kernel, **same)
    np.testing.assert_allclose(single.mixture.means, double.mixture.means, atol=2e-3)
    np.testing.assert_allclose(single.mixture.covariances, double.mixture.covariances, atol=5e-3)
    assert single.lower_bound == pytest.approx(double.lower_bound, rel=1e-5)


@given(seeds, kinds, priors)
@settings(max_examples=20)
def test_going_on_is_as_never_having_stopped(seed, kind, prior):
    X, heard = random_rows(seed, 100, 2), []
    same = {"covariance_type": kind, "weight_concentration_prior_type": prior, "tol": 0}
    whole = fit_bayesian(X, 3, start=shares_for(100, 3), max_iter=9, watch=heard.append, **same)
    part = fit_bayesian(X, 3, start=shares_for(100, 3), max_iter=4, **same)
    rest = fit_bayesian(X, 3, start=part, max_iter=5, **same)
    np.testing.assert_allclose(part.trace + rest.trace, whole.trace, rtol=1e-8)
    assert heard == list(whole.trace)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_posterior_at_the_end_from_a_mixture_and_from_its_responsibilities(kind):
    X = random_rows(2, 200, 2)
    start = start_for(X, 3, kind, 1)
    same = {"covariance_type": kind, "max_iter": 5, "tol": 0}
    a = fit_bayesian(X, 3, start=start, **same)
    b = fit_bayesian(X, 3, start=start.responsibilities(X), **same)
    assert_same(a, b)


def test_a_row_of_weight_zero_is_no_row_of_the_start_either():
    X, shares = random_rows(2, 100, 2), shares_for(100, 3)
    weight = np.ones(100)
    weight[::3] = 0
    kept = weight > 0
    a = fit_bayesian(X, 3, start=shares, sample_weight=weight, max_iter=5)
    b = fit_bayesian(X[kept], 3, start=shares[kept], max_iter=5)
    assert_same(a, b)


def test_the_best_of_several_starts_wins():
    X = random_rows(5, 300, 2, groups=5)
    one = [fit_bayesian(X, 6, n_init=n).lower_bound for n in (1, 3, 6)]
    assert one == sorted(one)


def test_the_same_seed_gives_the_same_result():
    X = random_rows(5, 300, 2)
    assert fit_bayesian(X, 4, seed=3).mixture == fit_bayesian(X, 4, seed=3).mixture


def test_no_iteration_leaves_what_the_start_says():
    X = random_rows(5, 100, 2)
    result = fit_bayesian(X, 2, start=shares_for(100, 2), max_iter=0)
    assert (result.iterations, result.trace, result.status) == (0, (), FitStatus.STOPPED)


def test_a_constant_feature_is_borne_when_variance_is_added():
    X = np.column_stack([random_rows(1, 100, 1), np.ones(100)])
    assert fit_bayesian(X, 3, reg_covar=1e-3).mixture.n_components == 3
    with pytest.raises(FitFailed, match="constant"):
        fit_bayesian(X, 3, reg_covar=0)


def test_features_that_depend_on_one_another_fail_as_a_fit():
    x = random_rows(1, 100, 1)
    with pytest.raises(FitFailed, match="no usable mixture"):
        fit_bayesian(np.hstack([x, 2 * x]), 2, reg_covar=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_concentration_prior_type": "uniform"}, "weight_concentration_prior_type"),
        ({"weight_concentration_prior": 0.0}, "weight_concentration_prior"),
        ({"mean_precision_prior": -1.0}, "mean_precision_prior"),
        ({"mean_prior": [0.0]}, "mean_prior has the wrong shape"),
        ({"degrees_of_freedom_prior": 1.0}, "degrees_of_freedom_prior"),
        ({"covariance_prior": [1.0, 1.0]}, "covariance_prior has the wrong shape"),
        ({"covariance_prior": [[1.0, 2.0], [2.0, 1.0]]}, "not positive definite"),
        ({"covariance_prior": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
        ({"covariance_type": "spherical", "covariance_prior": -1.0}, "not positive definite"),
        ({"tol": -1.0}, "tol"),
        ({"max_iter": -1}, "max_iter"),
        ({"n_init": 0}, "n_init"),
        ({"kernel": "fast"}, "kernel"),
        ({"start": np.ones((100, 3))}, "start has the wrong shape"),
        ({"start": -np.ones((100, 2))}, "negative"),
        ({"start": random_mixture(0, 3, 2)}, "start"),
        ({"sample_weight": np.full(100, 0.01)}, "weigh too little"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        fit_bayesian(random_rows(0, 100, 2), 2, **given)


def test_rows_that_weigh_little_leave_the_prior_as_it_was():
    prior = own_prior("full", 2)
    X = random_rows(0, 100, 2)
    result = fit_bayesian(X, 2, sample_weight=np.full(100, 1e-12), **prior)
    np.testing.assert_allclose(result.posterior.means, [prior["mean_prior"]] * 2, atol=1e-8)
    expected = prior["covariance_prior"] / prior["degrees_of_freedom_prior"]
    np.testing.assert_allclose(result.posterior.covariances, [expected] * 2, atol=1e-8)
