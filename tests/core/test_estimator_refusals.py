"""Calls of a wrong type, whichever function they are of: refused by name, before any start."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from mixtures import random_mixture, random_rows
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from gmm_core import BayesianGaussianMixture, FitFailed, GaussianMixture, InvalidInput, fit
from gmm_core.selection import select
from gmm_core.variational.fit import fit_bayesian

ESTIMATORS = (GaussianMixture, BayesianGaussianMixture)
KNOWN = random_mixture(1, 2, 2)
ROWS = random_rows(1, 20, 2)


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        (["x"], {}, "mixture: got 'x'; allowed: a Mixture"),
        ([KNOWN], {"covariance_type": "full"}, "does not take: got 'covariance_type'.*Leave out"),
        ([KNOWN], {"n_components": 2}, "does not take: got 'n_components'"),
        ([KNOWN], {"colour": 2}, "does not take: got 'colour'; allowed: background, "),
    ],
)
def test_what_a_known_mixture_may_come_with(given, parameters, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianMixture.from_mixture(*given, **parameters)


def test_what_only_a_fit_sets_is_said_to_be_so():
    model = GaussianMixture.from_mixture(KNOWN)
    assert not hasattr(model, "result_")
    with pytest.raises(AttributeError, match="no attribute 'result_': `fit` sets it"):
        _ = model.result_
    with pytest.raises(AttributeError, match="'selection_': `fit` sets it when n_components"):
        _ = model.fit(ROWS).selection_
    assert model.result_.mixture == model.mixture_
    with pytest.raises(AttributeError, match=r"no attribute 'colour'$"):
        _ = model.colour


@pytest.mark.parametrize("n_samples", [-1, 0, 2.5, "a", None, True, [3], 10**40])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_how_many_rows_a_sample_may_have(estimator, n_samples):
    with pytest.raises(InvalidInput, match=r"n_samples: got .*allowed: a whole number, 1 or more"):
        estimator(random_state=0).fit(ROWS).sample(n_samples)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("random_state", ["x", -1, 2.5, [], 2**40])
def test_what_a_random_state_may_be(estimator, random_state):
    with pytest.raises(InvalidInput, match=r"random_state: got .*allowed: None, a whole number"):
        estimator(random_state=random_state).fit(ROWS)


@pytest.mark.parametrize(
    "name",
    [
        *("weight_concentration_prior_type", "weight_concentration_prior", "mean_precision_prior"),
        *("mean_prior", "degrees_of_freedom_prior", "covariance_prior"),
    ],
)
@pytest.mark.parametrize(
    "value", ["x", ["x"], -1, [], float("nan"), float("inf"), np.ones((2, 3, 4))]
)
def test_priors_are_refused_before_any_start(name, value, monkeypatch):
    refuse_to_start(monkeypatch)
    with pytest.raises(InvalidInput, match=f"{name}.*allowed"):
        BayesianGaussianMixture(n_components=2, **{name: value}).fit(ROWS)


def refuse_to_start(monkeypatch):
    def started(*arguments, **settings):
        raise AssertionError("k-means ran")

    monkeypatch.setattr("gmm_core.estimators.starts.KMeans", started)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (ROWS * [1, 0], FitFailed, "feature 1 is constant.*reg_covar above 0"),
        (ROWS * [1, 1e150], InvalidInput, "feature 1 spread over a range.*Rescale the feature"),
        (np.repeat(ROWS[:2], 9, axis=0), InvalidInput, "fewer distinct rows.*got 2.*at least 3"),
    ],
)
def test_rows_are_refused_before_any_start_and_as_fit_does(
    estimator, X, error, message, monkeypatch
):
    refuse_to_start(monkeypatch)
    with pytest.raises(error, match=message) as caught:
        estimator(n_components=3, reg_covar=0).fit(X)
    with pytest.raises(error) as plain:
        fit(X, 3, reg_covar=0)
    assert str(caught.value) == str(plain.value)


def test_several_numbers_of_components_must_be_there_twice():
    model = GaussianMixture(range(1, 3), random_state=0)
    assert clone(model).get_params()["n_components"] == range(1, 3)
    for wrong in ((k for k in (1, 2)), iter([1, 2])):
        with pytest.raises(InvalidInput, match=r"n_components: got <.*Write list\(\.\.\.\) around"):
            GaussianMixture(wrong)
        with pytest.raises(InvalidInput, match="n_components: got <"):
            GaussianMixture().set_params(n_components=wrong).fit(ROWS)
    with pytest.raises(InvalidInput, match="from one to 1,000 of them"):
        select(ROWS, itertools.count(1))
    assert select(ROWS, (k for k in (1, 2))).table[1].n_components == 2


@pytest.mark.parametrize("value", [None, 2.5, "x", [], 1, np.array([2, 3])])
def test_folds_are_a_whole_number_from_two(value):
    with pytest.raises(InvalidInput, match=r"folds: got .*allowed: a whole number, 2 or more"):
        select(ROWS, [1, 2], criterion="heldout", folds=value)


def test_fewer_rows_than_folds_have_a_remedy():
    model = GaussianMixture([1, 2], criterion="heldout")
    with pytest.raises(InvalidInput, match=r'5 folds.*got 4; .*at least 5 rows\. .*"bic"'):
        model.fit(ROWS[:4])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("background", value) for value in (None, "x", [0.1], np.array([0.1, 0.2]), -1, 0.6)),
        *(("missing", value) for value in (None, ["x"], np.array([1, 2]))),
        *(("criterion", value) for value in (None, ["bic"], np.array([1, 2]))),
        *(("warm_start", value) for value in (None, 1, "x")),
        *(("tol", value) for value in (None, True, "x", [1e-3], 1j)),
        *(("max_iter", value) for value in (None, True, 2.5, "x", [3])),
        *(("verbose", value) for value in (None, 2.5, "x")),
    ],
)
def test_settings_of_a_wrong_type_are_named(name, value):
    for several in (2, [1, 2]):
        with pytest.raises(InvalidInput, match=f"{name}: got .*allowed: "):
            GaussianMixture(several, **{name: value}).fit(ROWS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel", ["x"]),
        ("kernel", None),
        ("rule", "x"),
        ("tol", "x"),
        ("seed", 1.5),
        ("n_init", True),
    ],
)
def test_so_are_those_of_fit(name, value):
    with pytest.raises(InvalidInput, match=f"{name}: got .*allowed: "):
        fit(ROWS, 2, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("kernel", ["x"]), ("watch", "x"), ("tol", "x"), ("seed", "x"), ("max_iter", None)),
        *(("n_init", 1.5), ("n_components", "x"), ("weight_concentration_prior_type", ["x"])),
    ],
)
def test_so_are_those_of_fit_bayesian(name, value):
    with pytest.raises(InvalidInput, match=f"{name}: got .*allowed: "):
        fit_bayesian(ROWS, **{"n_components": 2, name: value})


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.where(np.arange(20) % 9 == 4, np.nan, 1), "holds 2 NaN .*at index 4: got nan.*Drop or"),
        (np.where(np.arange(20) == 7, -3.0, 1), "negative weights, the first at index 7: got -3.0"),
    ],
)
def test_the_first_wrong_weight_is_named(weight, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        GaussianMixture().fit(ROWS, sample_weight=weight)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["weights_init", "means_init", "precisions_init"])
def test_initial_parameters_are_of_one_number_of_components(name, monkeypatch):
    refuse_to_start(monkeypatch)
    with pytest.raises(InvalidInput, match=f"{name} are those of one number.*Leave {name} out"):
        GaussianMixture([1, 2], **{name: np.ones((2, 2))}).fit(ROWS)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("change", "X", "message"),
    [
        ({"n_components": 3}, ROWS, "n_components 2, .*allowed: n_components 3, "),
        ({"covariance_type": "diag"}, ROWS, "covariance_type full; .*covariance_type diag"),
        ({}, ROWS[:, :1], "features 2, .*allowed: n_components 2, features 1"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_that_does_not_fit_has_a_remedy(estimator, change, X, message):
    model = estimator(n_components=2, warm_start=True, random_state=0).fit(ROWS)
    model.set_params(**change)
    with pytest.raises(InvalidInput, match=f"warm_start.*{message}.*Set warm_start=False"):
        model.fit(X)
    assert len(model.set_params(warm_start=False).fit(X).weights_) == model.n_components


def test_one_is_no_plural():
    X = np.vstack([ROWS[:2], ROWS[:2], [[500.0, 500.0]]])
    with pytest.raises(FitFailed, match="no usable start of 3 components: "):
        GaussianMixture(3, reg_covar=0, random_state=0).fit(X)
    for estimator in ESTIMATORS:
        with pytest.warns(ConvergenceWarning, match=r" 1 iteration\b"):
            estimator(n_components=3, max_iter=1, tol=0, random_state=0).fit(ROWS)
