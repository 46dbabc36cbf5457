"""What `GaussianMixture` refuses, and how it says so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from mixtures import random_rows
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from gmm_core import FitFailed, GaussianMixture, InvalidInput, Mixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_fit_that_did_not_converge_says_so():
    X = random_rows(4, 200, 2)
    with pytest.warns(ConvergenceWarning, match="made 2 iterations. Raise max_iter"):
        model = GaussianMixture(3, max_iter=2, random_state=0).fit(X)
    assert not model.converged_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(3, max_iter=500, random_state=0).fit(X)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic"])
def test_before_the_fit(method):
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(), method)([[1.0], [2.0]])
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()
    assert not hasattr(GaussianMixture(), "mixture_")
    with pytest.raises(NotFittedError, match="call `fit` first"):
        _ = GaussianMixture().mixture_


ROWS = random_rows(1, 20, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "n_components: got 0; allowed: a whole number, 1 or more"),
        ({"n_components": True}, "n_components"),
        ({"n_components": 21}, "n_samples >= n_components.*got 20"),
        ({"covariance_type": "round"}, "covariance_type: got 'round'; allowed: full, tied"),
        ({"tol": -1}, "tol"),
        ({"tol": float("nan")}, "tol"),
        ({"reg_covar": -1}, "reg_covar"),
        ({"reg_covar": "much"}, "reg_covar"),
        ({"reg_covar": [1, 1, 1]}, "reg_covar"),
        ({"max_iter": -1}, "max_iter"),
        ({"n_init": 0}, "n_init"),
        ({"init_params": "best"}, "init_params: got 'best'; allowed: kmeans, k-means"),
        ({"warm_start": "yes"}, "warm_start"),
        ({"verbose": -1}, "verbose"),
        ({"verbose_interval": 0}, "verbose_interval"),
        ({"weights_init": [0.5, 0.5, 0.5]}, "weights_init has the wrong shape"),
        ({"weights_init": [0.5, 0.6]}, "weights_init should be normalized.*got 1.1"),
        ({"weights_init": [1.5, -0.5]}, r"weights_init.*\[0, 1\]"),
        ({"means_init": ROWS[:3]}, "means_init has the wrong shape"),
        ({"means_init": [["a", "b"], ["c", "d"]]}, "means_init is not an array of numbers"),
        ({"precisions_init": np.eye(2)}, "precisions_init has the wrong shape"),
        ({"precisions_init": -np.tile(np.eye(2), (2, 1, 1))}, "precisions_init.*positive-def"),
        ({"precisions_init": np.tile([[1, 2], [0, 1]], (2, 1, 1))}, "precisions_init.*symmetric"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianMixture(**{"n_components": 2, **settings}).fit(ROWS)


@pytest.mark.parametrize(
    ("X", "weight", "message"),
    [
        (np.where(ROWS > 3, np.nan, ROWS), None, "NaN or infinite values, the first in row"),
        (np.where(ROWS > 3, np.inf, ROWS), None, "infinite"),
        (ROWS[:, 0], None, "Reshape your data"),
        (ROWS[:1], None, "minimum of 2"),
        (ROWS[:, :0], None, "0 feature"),
        ([["a"], ["b"]], None, "numbers|convert"),
        (np.ones((9, 2)), None, "fewer distinct rows"),
        (ROWS, np.ones(3), "sample_weight has the wrong shape"),
        (ROWS, -np.ones(20), "negative weights"),
        (ROWS, np.zeros(20), "zero for every row"),
        (ROWS, [1] + [0] * 19, "fewer rows than components"),
        (ROWS, ["a"] * 20, "sample_weight is not an array of numbers"),
    ],
)
def test_rows_and_weights_that_are_refused(X, weight, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2).fit(X, sample_weight=weight)


def test_other_bad_calls():
    model = GaussianMixture(2, random_state=0).fit(ROWS)
    with pytest.raises(ValueError, match="features"):
        model.predict(ROWS[:, :1])
    with pytest.raises(InvalidInput, match="n_samples: got 0"):
        model.sample(0)
    with pytest.raises(InvalidInput, match="wrong shape"):
        model.score(ROWS, sample_weight=[1.0])
    with pytest.raises(FitFailed, match="reg_covar") as failure:
        GaussianMixture(2, reg_covar=0).fit(np.hstack([ROWS, ROWS]))
    assert isinstance(failure.value, ValueError)


def test_some_failing_starts_are_no_failure():
    X = np.vstack([ROWS, [[500.0, 500.0]]])
    # A start at the far row leaves it alone in a component, without width when none is added.
    model = GaussianMixture(2, reg_covar=0, init_params="random", n_init=5, random_state=0)
    assert isinstance(model.fit(X[:-1]).mixture_, Mixture)
    with pytest.raises(FitFailed, match="no usable start"):
        GaussianMixture(2, reg_covar=0, random_state=0).fit(X)
