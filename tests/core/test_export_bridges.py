"""Bridges to scikit-learn and ONNX: the other side computes the same, and gives it back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture import GaussianMixture as Peer
from sklearn.utils.validation import check_is_fitted

from gmm_core.errors import InvalidInput, MissingExtra
from gmm_core.export import onnx_graph
from gmm_core.export.onnx_graph import to_onnx
from gmm_core.export.scikit import from_sklearn, to_sklearn


@given(seeds, st.integers(1, 4), st.integers(1, 4), kinds)
def test_scikit_learn_computes_the_same_and_gives_it_back(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    X, model = mixture.sample(50, seed), to_sklearn(mixture)
    check_is_fitted(model)
    np.testing.assert_allclose(model.score_samples(X), mixture.log_prob(X), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.predict_proba(X), mixture.responsibilities(X), atol=1e-9)
    np.testing.assert_array_equal(model.predict(X), mixture.component(X))
    back = from_sklearn(model)
    assert back.covariance_type == kind
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(back, name), getattr(mixture, name), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_its_attributes_are_those_that_fit_sets(kind):
    X = random_rows(1, 300, 3)
    fitted = Peer(3, covariance_type=kind, random_state=0).fit(X)
    made = to_sklearn(from_sklearn(fitted))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(getattr(made, name), getattr(fitted, name), rtol=1e-7, atol=1e-9)
    names = {name for name in vars(fitted) if name.endswith("_") and name != "lower_bounds_"}
    assert names <= set(vars(made))
    assert made.bic(X) == pytest.approx(fitted.bic(X))
    assert made.sample(5)[0].shape == (5, 3)


def test_a_bayesian_one_without_its_empty_components():
    fitted = BayesianGaussianMixture(n_components=3, random_state=0).fit(random_rows(1, 300, 2))
    assert from_sklearn(fitted).n_components == 3
    fitted.weights_ = np.array([0.25, 0.0, 0.75])
    found = from_sklearn(fitted)
    np.testing.assert_array_equal(found.means, fitted.means_[[0, 2]])
    np.testing.assert_allclose(found.weights, [0.25, 0.75])


@pytest.mark.parametrize("thing", [Peer(2), 3, None])
def test_what_is_no_fitted_mixture_is_refused(thing):
    with pytest.raises(InvalidInput, match="after fit"):
        from_sklearn(thing)


@settings(max_examples=4)
@given(seeds, kinds)
def test_onnx_computes_the_same_in_double_precision(seed, kind):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("skl2onnx")
    mixture = random_mixture(seed, 3, 2, kind)
    graph = to_onnx(mixture).SerializeToString()
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    X = np.vstack([mixture.sample(50, seed), [[1e4, -1e4]]])
    label, shares, log_prob = session.run(None, {"X": X})
    assert [one.name for one in session.get_outputs()] == [
        "label",
        "probabilities",
        "score_samples",
    ]
    np.testing.assert_array_equal(label.ravel(), mixture.component(X))
    np.testing.assert_allclose(shares, mixture.responsibilities(X), atol=1e-9)
    np.testing.assert_allclose(log_prob.ravel(), mixture.log_prob(X), rtol=1e-9, atol=1e-9)


def test_without_skl2onnx_it_says_what_to_install(monkeypatch):
    def missing(module, purpose, install):
        raise MissingExtra(f"{purpose} need {module}", remedy=f"run: pip install {install}")

    monkeypatch.setattr(onnx_graph, "optional", missing)
    with pytest.raises(MissingExtra, match=r"blockmix\[onnx\]"):
        to_onnx(random_mixture(1, 2, 2))
