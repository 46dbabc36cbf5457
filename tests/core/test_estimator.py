"""`GaussianMixture` beside scikit-learn's, and the laws that go beyond it."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from mixtures import KINDS, random_mixture, random_rows, start_for
from sklearn.base import clone
from sklearn.mixture import GaussianMixture as Peer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gmm_core import GaussianMixture, InvalidInput

ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
INITS = ("kmeans", "k-means++", "random", "random_from_data")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def both(X, fits: int = 1, **settings):
    models = (GaussianMixture(**settings), Peer(**settings))
    for model in models:
        for _ in range(fits):
            model.fit(X)
    return models


def given_start(X, kind, seed=1):
    start = start_for(X, 3, kind, seed)
    full = kind in ("full", "tied")
    return {
        "weights_init": [0.2, 0.3, 0.5],
        "means_init": start.means,
        "precisions_init": np.linalg.inv(start.covariances) if full else 1 / start.covariances,
    }


def assert_same_model(ours, peer, atol=1e-8):
    for name in ATTRIBUTES:
        mine, theirs = getattr(ours, name), getattr(peer, name)
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), name
        np.testing.assert_allclose(mine, theirs, atol=atol, rtol=atol, err_msg=name)
    assert ours.n_iter_ == peer.n_iter_
    assert ours.converged_ == peer.converged_
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=atol)


def assert_same_answers(ours, peer, X, atol=1e-8):
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    for method in ("predict_proba", "score_samples"):
        mine, theirs = getattr(ours, method)(X), getattr(peer, method)(X)
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), method
        np.testing.assert_allclose(mine, theirs, atol=atol, rtol=atol, err_msg=method)
    for method in ("score", "bic", "aic"):
        expected = pytest.approx(getattr(peer, method)(X), rel=max(atol, 1e-9))
        assert getattr(ours, method)(X) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limits", [{}, {"tol": 0, "max_iter": 12}, {"max_iter": 1}])
def test_the_same_start_gives_the_same_model(kind, limits):
    X = random_rows(3, 400, 3)
    settings = {"n_components": 3, "covariance_type": kind, **given_start(X, kind), **limits}
    ours, peer = both(X, **settings)
    assert_same_model(ours, peer)
    np.testing.assert_allclose(ours.lower_bounds_, peer.lower_bounds_, atol=1e-9)
    assert_same_answers(ours, peer, random_rows(4, 100, 3))
    np.testing.assert_array_equal(ours.fit_predict(X), peer.predict(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", INITS)
def test_the_same_random_state_gives_the_same_model(kind, init):
    X = random_rows(5, 300, 2)
    settings = {"covariance_type": kind, "init_params": init, "reg_covar": 1e-4}
    ours, peer = both(X, n_components=3, random_state=7, **settings)
    if kind == "tied" and init in ("k-means++", "random_from_data"):
        # scikit-learn's first M-step takes the rows without a component for their squares.
        assert ours.score(X) > peer.score(X)
        return
    assert_same_model(ours, peer)
    np.testing.assert_allclose(ours.sample(50)[0], peer.sample(50)[0], atol=1e-7)
    np.testing.assert_array_equal(ours.sample(50)[1], peer.sample(50)[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["weights_init", "means_init", "precisions_init"])
def test_part_of_a_start(kind, name):
    X = random_rows(6, 300, 2)
    part = {name: given_start(X, kind)[name]}
    assert_same_model(*both(X, n_components=3, covariance_type=kind, random_state=2, **part))


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on_where_the_last_fit_ended(kind):
    X = random_rows(8, 300, 2)
    settings = {"n_components": 3, "covariance_type": kind, "max_iter": 3, "tol": 1e-6}
    for fits in (2, 3):
        assert_same_model(*both(X, fits, warm_start=True, random_state=1, **settings))
    long = GaussianMixture(3, covariance_type=kind, warm_start=True, random_state=1).fit(X)
    assert long.fit(X).n_iter_ == 1


def test_no_iterations_keep_the_start():
    X = random_rows(8, 300, 2)
    ours, peer = both(X, n_components=3, max_iter=0, random_state=1)
    assert_same_model(ours, peer)
    assert_same_answers(ours, peer, X)
    assert ours.lower_bounds_ == peer.lower_bounds_ == []


def test_more_starts_are_no_worse_and_the_best_is_kept():
    X = random_rows(9, 300, 2, groups=6)
    settings = {"n_components": 6, "init_params": "random_from_data", "random_state": 3}
    ours, peer = both(X, n_init=4, **settings)
    assert_same_model(ours, peer)
    assert ours.lower_bound_ >= GaussianMixture(**settings).fit(X).lower_bound_
    assert ours.result_.log_likelihood == pytest.approx(ours.score(X), abs=1e-10)
    assert ours.result_.mixture == ours.mixture_


@pytest.mark.parametrize("verbose", [1, 2])
def test_what_is_printed(verbose, capsys):
    X = random_rows(9, 300, 2)
    printed = []
    for kind in (GaussianMixture, Peer):
        kind(3, n_init=2, verbose=verbose, verbose_interval=2, random_state=1).fit(X)
        lines = capsys.readouterr().out.splitlines()
        printed.append([line.split(" time")[0].strip() for line in lines])
    assert printed[0] == printed[1]
    assert printed[0][0] == "Initialization 0"


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(kind):
    X = random_rows(2, 300, 3).astype(np.float32)
    # From a start in float64, scikit-learn would go on in float64.
    start = {name: np.float32(value) for name, value in given_start(X, kind).items()}
    settings = {"n_components": 3, "covariance_type": kind, **start}
    ours, peer = both(X, tol=0, max_iter=5, **settings)
    assert_same_model(ours, peer, atol=1e-3)
    assert_same_answers(ours, peer, X, atol=1e-3)
    double = GaussianMixture(tol=0, max_iter=5, **settings).fit(X.astype(np.float64))
    np.testing.assert_allclose(ours.means_, double.means_, rtol=1e-5, atol=1e-5)
    assert ours.predict_proba(X).dtype == np.float32
    assert ours.predict_proba(X.astype(np.float64)).dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_set_by_hand_count(kind):
    """Recipes that people use to load a model: with and without a fit before."""
    X = random_rows(2, 200, 2)
    mixture = random_mixture(4, 3, 2, kind)
    full = kind in ("full", "tied")
    precisions = np.linalg.inv(mixture.covariances) if full else 1 / mixture.covariances
    factors = np.linalg.cholesky(precisions) if full else np.sqrt(precisions)  # the other triangle
    fresh = (GaussianMixture(3, covariance_type=kind), Peer(3, covariance_type=kind))
    fitted = both(X, n_components=3, covariance_type=kind)
    for ours, peer in (fresh, fitted):
        for model in (ours, peer):
            model.weights_, model.means_ = mixture.weights, mixture.means.copy()
            model.covariances_, model.precisions_cholesky_ = mixture.covariances, factors
        assert_same_answers(ours, peer, X)
        np.testing.assert_allclose(ours.mixture_.covariances, mixture.covariances, rtol=1e-9)
    ours.means_ += 1.0
    peer.means_ = ours.means_
    assert_same_answers(ours, peer, X)
    np.testing.assert_array_equal(ours.mixture_.means, mixture.means + 1)


def test_weights_set_by_hand_need_no_sum_of_one():
    X = random_rows(2, 100, 2)
    ours, peer = both(X, n_components=2, random_state=0)
    for model in (ours, peer):
        model.weights_ = np.array([3.0, 1.0])
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), atol=1e-9)
    assert ours.mixture_.weights.tolist() == [0.75, 0.25]
    ours.weights_ = np.array([1.0, 0.0])
    assert (ours.predict(X) == 0).all()
    ours.means_ = ours.means_[:, :1]
    with pytest.raises(InvalidInput, match="features"):
        ours.predict(X)


def test_a_known_mixture_is_an_estimator():
    mixture = random_mixture(1, 3, 2)
    X = mixture.sample(500, seed=1)
    model = GaussianMixture.from_mixture(mixture, warm_start=True, max_iter=4, tol=0)
    np.testing.assert_allclose(model.score_samples(X), mixture.log_prob(X), atol=1e-10)
    assert model.mixture_ == mixture
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :1])
    np.testing.assert_allclose(model.fit(X).mixture_.mean(), X.mean(axis=0), atol=1e-9)
    assert model.n_iter_ == 4
    assert model.mixture_ != mixture
    np.testing.assert_allclose(model.means_, mixture.means, atol=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_counts_rows_and_zero_none(kind):
    X = random_rows(3, 200, 2)
    times = np.random.default_rng(1).integers(0, 4, 200)
    settings = {"covariance_type": kind, **given_start(X, kind)}
    weighted = GaussianMixture(3, **settings).fit(X, sample_weight=times)
    long = np.repeat(X, times, axis=0)
    repeated = GaussianMixture(3, **settings).fit(long)
    assert_same_model(weighted, repeated)
    assert weighted.score(X, sample_weight=times) == pytest.approx(repeated.score(long))
    assert weighted.bic(X, times) == pytest.approx(repeated.bic(long))
    assert weighted.aic(X, times) == pytest.approx(repeated.aic(long))


@pytest.mark.parametrize("init", INITS)
def test_rows_of_weight_zero_are_not_there_for_the_start_either(init):
    X = random_rows(3, 200, 2)
    weight = np.random.default_rng(1).random(200)
    weight[::3] = 0
    there = weight > 0
    model = GaussianMixture(3, init_params=init, random_state=5)
    with_zeros = clone(model).fit(X, sample_weight=weight)
    without = clone(model).fit(X[there], sample_weight=weight[there])
    assert with_zeros.mixture_ == without.mixture_
    heavier = clone(model).fit(X, sample_weight=weight * 1e3)
    np.testing.assert_allclose(heavier.means_, with_zeros.means_, rtol=1e-7)


def test_many_rows_start_from_a_sample_and_are_no_worse():
    X = random_rows(3, 70_000, 2)
    ours, peer = both(X, n_components=3, random_state=0)
    assert ours.converged_
    assert ours.score(X) > peer.score(X) - 0.01
    again = GaussianMixture(3, random_state=0).fit(X)
    assert again.mixture_ == ours.mixture_
    other = GaussianMixture(3, random_state=0, means_init=peer.means_).fit(X)
    np.testing.assert_allclose(other.means_, peer.means_, atol=0.1)


def test_answers_take_the_memory_of_a_chunk():
    model = GaussianMixture.from_mixture(random_mixture(1, 100, 2))
    X = random_rows(1, 60_000, 2).astype(np.float32)
    model.predict(X[:10])
    for method in (model.predict, model.score_samples, model.score):
        tracemalloc.start()
        method(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.3 * len(X) * 100 * 8


def test_a_far_offset_does_no_harm():
    X = random_rows(4, 500, 2)
    near, far = (GaussianMixture(3, random_state=0, tol=1e-6).fit(X + by) for by in (0, 1e7))
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-3)
    assert far.score(X + 1e7) == pytest.approx(near.score(X), abs=1e-5)


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables(table):
    X = random_rows(4, 100, 2)
    columns = {"delay": X[:, 0], "fare": X[:, 1]}
    plain = GaussianMixture(2, random_state=0).fit(X)
    named = GaussianMixture(2, random_state=0).fit(table(columns))
    assert named.mixture_ == plain.mixture_
    assert named.feature_names_in_.tolist() == ["delay", "fare"]
    assert not hasattr(plain, "feature_names_in_")
    np.testing.assert_array_equal(named.predict(table(columns)), plain.predict(X))
    assert named.bic(table(columns)) == plain.bic(X)
    with pytest.raises(ValueError, match="feature names"):
        named.predict(table({"delay": X[:, 0], "tip": X[:, 1]}))
    with pytest.raises(InvalidInput, match="column 1 \\('fare'\\)"):
        named.fit(table({**columns, "fare": np.where(X[:, 1] > 0, np.nan, 1.0)}))
    single = table({name: values.astype(np.float32) for name, values in columns.items()})
    assert named.fit(single).means_.dtype == np.float32


def test_it_lives_among_the_other_estimators():
    X = random_rows(4, 200, 2)
    model = GaussianMixture(3, covariance_type="diag", random_state=1)
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(X)
    assert pipeline.predict(X).shape == (200,)
    search = GridSearchCV(model, {"n_components": [1, 3]}, cv=2).fit(X)
    assert search.best_params_ == {"n_components": 3}
    back = pickle.loads(pickle.dumps(model.fit(X)))
    assert back.mixture_ == model.mixture_
    assert "n_components=3" in repr(model)
