"""The estimator's choice of components, its missing values and its background."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from mixtures import KINDS, random_rows
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmm_core import GaussianMixture, InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.selection import select

APART = Mixture([0.4, 0.6], [[-6.0, 0.0], [6.0, 1.0]], np.tile(np.eye(2), (2, 1, 1)))


def with_gaps(X: np.ndarray, seed: int = 0) -> np.ndarray:
    gone = np.random.default_rng(seed).random(X.shape) < 0.2
    gone[gone.all(axis=1)] = False
    return np.where(gone, np.nan, X)


@parametrize_with_checks([GaussianMixture([1, 2]), GaussianMixture(missing="marginalise")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    if "sample_weight_equivalence" in str(check) and not isinstance(estimator.n_components, int):
        pytest.skip("k-means draws other starts for shuffled rows")
    check(estimator)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "heldout"])
@pytest.mark.parametrize("several", [range(1, 4), [3, 1, 2], (2, 1)])
def test_the_best_of_several_is_kept(criterion, several):
    X = APART.sample(300, 1)
    model = GaussianMixture(several, criterion=criterion, random_state=3).fit(X)
    values = {c.n_components: c.value for c in model.selection_.table}
    assert sorted(values) == sorted(several)
    k = min(values, key=values.get)
    alone = GaussianMixture(k, random_state=3).fit(X)
    assert model.mixture_ == alone.mixture_
    assert model.n_iter_ == alone.n_iter_
    assert model.lower_bound_ == alone.lower_bound_
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))
    if criterion in ("aic", "bic"):
        assert values[k] == pytest.approx(getattr(alone, criterion)(X), rel=1e-3)
    assert model.get_params()["n_components"] == several
    assert clone(model).fit(X).mixture_ == model.mixture_


def test_names_of_columns_stay():
    import pandas as pd

    X = pd.DataFrame(APART.sample(100, 1), columns=["a", "b"])
    model = GaussianMixture([1, 2], random_state=0).fit(X)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.n_features_in_ == 2


def test_only_the_one_kept_warns():
    X = APART.sample(200, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture([1, 2], random_state=0).fit(X)
    with pytest.warns(ConvergenceWarning, match="did not converge") as caught:
        GaussianMixture([2, 3], random_state=0, max_iter=1, tol=0).fit(X)
    assert len(caught) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_gaps_are_fitted_and_scored(kind):
    X = with_gaps(APART.sample(400, 1))
    model = GaussianMixture(
        2, covariance_type=kind, missing="marginalise", random_state=0, n_init=2
    ).fit(X)
    mixture = model.mixture_
    np.testing.assert_allclose(np.sort(mixture.means[:, 0]), [-6, 6], atol=0.3)
    density = mixture.log_prob(X, missing="marginalise")
    np.testing.assert_allclose(model.score_samples(X), density, rtol=1e-9)
    shares = mixture.responsibilities(X, missing="marginalise")
    np.testing.assert_allclose(model.predict_proba(X), shares, atol=1e-9)
    np.testing.assert_array_equal(model.predict(X), shares.argmax(axis=1))
    assert model.score(X) == pytest.approx(density.mean(), rel=1e-9)
    assert model.lower_bound_ == pytest.approx(model.score(X), abs=1e-2)


def test_with_nothing_missing_it_is_the_plain_estimator():
    X = random_rows(1, 200, 3)
    plain = GaussianMixture(3, random_state=1).fit(X)
    other = GaussianMixture(3, random_state=1, missing="marginalise").fit(X)
    assert other.mixture_ == plain.mixture_


def test_gaps_and_several_numbers_together():
    X = with_gaps(APART.sample(400, 1))
    several = GaussianMixture([1, 2, 3], missing="marginalise", random_state=0, n_init=2).fit(X)
    assert several.weights_.shape == (2,)
    assert several.selection_.n_components == 2
    assert select(X, [1, 2, 3], missing="marginalise", n_init=2).n_components == 2


def test_a_background_keeps_outliers_away():
    X = APART.sample(600, 1)
    X[::100] = 1e4 * np.random.default_rng(0).normal(size=(6, 2))
    model = GaussianMixture(2, background=True, random_state=0, n_init=2).fit(X)
    np.testing.assert_allclose(np.sort(model.means_[:, 0]), [-6, 6], atol=0.3)
    assert model.result_.background == pytest.approx(0.01, abs=0.003)
    assert GaussianMixture(2, random_state=0).fit(X).result_.background == 0.0


@pytest.mark.parametrize(
    ("settings", "X", "message"),
    [
        ({"n_components": []}, None, "n_components to choose from"),
        ({"n_components": [1, 0]}, None, "n_components to choose from"),
        ({"n_components": "abc"}, None, "n_components: got 'abc'"),
        ({"n_components": 2.5}, None, "n_components: got 2.5"),
        ({"n_components": [1, 2], "criterion": "best"}, None, "criterion: got 'best'"),
        ({"n_components": [1, 2], "tol": -1}, None, "tol"),
        ({"missing": "drop"}, None, "missing: got 'drop'"),
        ({"background": 2}, None, "background: got 2"),
        ({}, [[1.0, np.nan], [2.0, 3.0]], 'missing="marginalise"'),
        ({"missing": "marginalise"}, [[1.0, np.inf], [2.0, 3.0]], "infinite"),
    ],
)
def test_what_is_refused(settings, X, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianMixture(**settings).fit(APART.sample(20, 1) if X is None else X)


def test_information_criteria_do_not_ignore_the_background_in_silence():
    X = random_rows(1, 200, 2)
    model = GaussianMixture(2, background=True, random_state=0).fit(X)
    for criterion in (model.bic, model.aic):
        with pytest.raises(InvalidInput, match="n_components as a range"):
            criterion(X)


def test_rows_without_any_value_change_no_score():
    X = random_rows(2, 120, 2)
    X[::5, 0] = np.nan
    more = np.vstack([X, np.full((50, 2), np.nan)])
    model = GaussianMixture(2, missing="marginalise", random_state=0).fit(X)
    assert model.score(more) == pytest.approx(model.score(X), rel=1e-12)
    assert model.bic(more) == pytest.approx(model.bic(X), rel=1e-12)
    with pytest.raises(InvalidInput, match="no row has a value"):
        model.score(more[-3:])


def test_a_choice_made_before_is_forgotten():
    X = random_rows(3, 150, 2)
    model = GaussianMixture([1, 2], random_state=0).fit(X)
    assert model.selection_.n_components == model.mixture_.n_components
    assert not hasattr(model.set_params(n_components=3).fit(X), "selection_")


def test_the_number_kept_has_a_name():
    X = APART.sample(200, 1)
    assert GaussianMixture([1, 2, 3], random_state=0).fit(X).n_components_ == 2
    assert GaussianMixture(3, random_state=0).fit(X).n_components_ == 3
    assert GaussianMixture.from_mixture(APART).n_components_ == 2


def test_it_is_said_which_number_is_being_tried(capsys):
    GaussianMixture([1, 2], random_state=0, verbose=1).fit(APART.sample(50, 1))
    lines = capsys.readouterr().out.splitlines()
    headed = [line for line in lines if line.startswith("n_components")]
    assert headed == ["n_components=1, 50 rows", "n_components=2, 50 rows"]
    assert lines.index(headed[1]) == 1 + lines.index("Initialization converged.")
