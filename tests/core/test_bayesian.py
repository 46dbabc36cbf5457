"""`BayesianGaussianMixture` beside scikit-learn's, and what goes beyond it."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from mixtures import KINDS, random_rows
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import BayesianGaussianMixture as Peer

import gmm_core
from gmm_core.errors import InvalidInput
from gmm_core.estimators.bayesian_mixture import BayesianGaussianMixture
from gmm_core.variational.weight_priors import WEIGHT_PRIORS

PRIORS = tuple(WEIGHT_PRIORS)
INITS = ("kmeans", "k-means++", "random", "random_from_data")
ATTRIBUTES = (
    *("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"),
    *("weight_concentration_", "mean_precision_", "degrees_of_freedom_"),
    *("weight_concentration_prior_", "mean_precision_prior_", "mean_prior_"),
    *("degrees_of_freedom_prior_", "covariance_prior_"),
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def both(X, fits: int = 1, **settings):
    models = (BayesianGaussianMixture(**settings), Peer(**settings))
    for model in models:
        for _ in range(fits):
            model.fit(X)
    return models


def assert_same(ours, peer, X) -> None:
    for name in ATTRIBUTES:
        mine, theirs = np.asarray(getattr(ours, name)), np.asarray(getattr(peer, name))
        assert mine.shape == theirs.shape, name
        np.testing.assert_allclose(mine, theirs, atol=1e-8, rtol=1e-8, err_msg=name)
    assert (ours.n_iter_, ours.converged_) == (peer.n_iter_, peer.converged_)
    # scikit-learn's bound is an array of one number for "tied".
    np.testing.assert_allclose(ours.lower_bound_, np.ravel(peer.lower_bound_)[0], rtol=1e-9)
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(peer.lower_bounds_), rtol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), atol=1e-8)
    assert ours.score(X) == pytest.approx(peer.score(X), abs=1e-8)
    np.testing.assert_allclose(ours.sample(50)[0], peer.sample(50)[0], atol=1e-7)


@pytest.mark.parametrize("limits", [{}, {"tol": 0, "max_iter": 7}, {"n_init": 3}, {"max_iter": 0}])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(
    ("kind", "init"),
    # "tied" starts elsewhere from single rows: scikit-learn's first M-step takes the rows without a
    # component for their squares.
    [(k, i) for k in KINDS for i in INITS if k != "tied" or i in ("kmeans", "random")],
)
def test_the_same_random_state_gives_the_same_model(kind, init, prior, limits):
    X = random_rows(3, 300, 3)
    settings = {"covariance_type": kind, "weight_concentration_prior_type": prior, **limits}
    ours, peer = both(X, n_components=4, init_params=init, random_state=1, **settings)
    assert_same(ours, peer, random_rows(4, 100, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on_where_the_last_fit_ended(kind):
    X = random_rows(8, 300, 2)
    settings = {"n_components": 3, "covariance_type": kind, "max_iter": 3, "random_state": 1}
    assert_same(*both(X, 3, warm_start=True, **settings), X)


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_those_of_the_attributes(kind):
    X = random_rows(8, 200, 2)
    settings = {"n_components": 3, "covariance_type": kind, "random_state": 1}
    ours, peer = both(X, **settings)
    for model in (ours, peer):
        model.means_ = model.means_ + 1.0
        model.mean_precision_ = model.mean_precision_ * 0.5
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), atol=1e-8)


def test_weights_count_rows():
    X = random_rows(8, 100, 2)
    weight = np.r_[np.full(50, 2), np.ones(40), np.zeros(10)].astype(int)
    one = BayesianGaussianMixture(random_state=0).fit(X, sample_weight=weight)
    other = BayesianGaussianMixture(random_state=0).fit(X.repeat(weight, axis=0))
    np.testing.assert_allclose(one.means_, other.means_, atol=1e-9)
    np.testing.assert_allclose(one.covariances_, other.covariances_, atol=1e-9)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-9)


def test_the_answers_are_those_of_the_posterior():
    X = random_rows(8, 200, 2)
    model = gmm_core.BayesianGaussianMixture(n_components=3, random_state=0).fit(X)
    joint = model.result_.posterior.log_joint(X)
    np.testing.assert_array_equal(model.predict(X), joint.argmax(axis=1))
    assert model.mixture_ == model.result_.mixture
    assert (model.score_samples(X) < model.mixture_.log_prob(X)).all()


def test_many_rows_start_from_a_sample():
    X = random_rows(5, 70_000, 1)
    settings = {"n_components": 3, "random_state": 0, "max_iter": 50}
    ours = BayesianGaussianMixture(**settings).fit(X)
    assert ours.lower_bound_ > ours.lower_bounds_[0]
    assert ours.score(X) == pytest.approx(Peer(**settings).fit(X).score(X), abs=0.02)


def test_float32_and_tables():
    X = random_rows(5, 300, 2)
    single = BayesianGaussianMixture(n_components=2, random_state=0).fit(X.astype(np.float32))
    assert single.means_.dtype == single.score_samples(X.astype(np.float32)).dtype == np.float32
    table = pd.DataFrame(X, columns=["a", "b"])
    model = BayesianGaussianMixture(n_components=2, random_state=0).fit(table)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_allclose(single.means_, model.means_, atol=1e-2)


def test_what_is_said_along_the_way(capsys):
    X = random_rows(5, 100, 2)
    settings = {
        "n_components": 2,
        "random_state": 0,
        "max_iter": 4,
        "verbose_interval": 2,
        "tol": 0,
    }
    BayesianGaussianMixture(verbose=1, **settings).fit(X)
    ours = capsys.readouterr().out
    Peer(verbose=1, **settings).fit(X)
    assert ours.splitlines()[:3] == capsys.readouterr().out.splitlines()[:3]


def test_it_says_that_it_did_not_converge():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        BayesianGaussianMixture(n_components=3, max_iter=1).fit(random_rows(5, 100, 2))


def test_copies_and_files():
    X = random_rows(5, 100, 2)
    model = BayesianGaussianMixture(n_components=2, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    with pytest.raises(NotFittedError):
        clone(model).predict(X)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight_concentration_prior": -1.0},
        {"degrees_of_freedom_prior": 0.5},
        {"mean_prior": [1.0]},
        {"covariance_prior": [[1.0, 3.0], [3.0, 1.0]]},
        {"n_components": 0},
        {"init_params": "best"},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        BayesianGaussianMixture(**wrong).fit(random_rows(5, 100, 2))
