"""What a mixture refuses, whichever method is asked: an `InvalidInput` that is short and says enough."""

from __future__ import annotations

import numpy as np
import pytest
from mixtures import random_mixture

from gmm_core import InvalidInput, Mixture

MIXTURE = random_mixture(1, 3, 2)
LARGE = np.full((500, 2), np.nan)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("sample", [-1], "n: got -1; allowed: a whole number, 0 or more"),
        ("sample", [2.5], "n: got 2.5"),
        ("sample", ["a"], "n: got 'a'"),
        ("sample", [True], "n: got True"),
        ("sample", [10**40], "n: got 1000"),
        ("sample", [3, "a"], "seed: got 'a'; allowed: .*Generator"),
        ("sample", [3, -1], "seed: got -1"),
        ("condition", [[0]], r"no mapping: got \[0\].*Write condition\(\{0: 2.5\}\)"),
        ("condition", ["x"], "no mapping"),
        ("condition", [None], "no mapping: got None"),
        ("condition", [{True: 1.0}], "not numbered"),
        ("condition", [{0: "x"}], "not an array of numbers"),
        ("marginal", [[True]], r"not numbered: got \[True\]; allowed: whole numbers from 0 to 1"),
        ("marginal", [3], "not numbered: got 3"),
        ("marginal", [[0.0]], "not numbered"),
        ("picked", [[]], r"components of a mixture: got \[\]; allowed: .* from 0 to 2"),
        ("picked", [[3]], r"got \[3\]"),
        ("picked", [[-1]], r"got \[-1\]"),
        ("picked", ["x"], "got 'x'"),
        ("picked", [[True, False, True]], r"got \[True, False, True\]"),
        ("as_type", [np.array([1, 2])], "unknown covariance_type: got ndarray of shape"),
        ("log_prob", [LARGE], "hold 1000 NaN"),
    ],
)
def test_arguments_of_methods(method, arguments, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        getattr(MIXTURE, method)(*arguments)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("missing", ["x", ["x"], np.array(["error", "x"]), True, 1])
def test_what_missing_may_be(missing):
    with pytest.raises(InvalidInput, match=r"missing: got .*allowed: error, marginalise"):
        MIXTURE.log_prob([[0.0, 1.0]], missing=missing)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 1}, "features to draw: got 1"),
        ({"features": [True]}, "not numbered"),
        ({"names": 3}, "names of the features drawn: got 3; allowed: a list of 2 names"),
        ({"names": "ab"}, "names of the features drawn: got 'ab'"),
        ({"ax": "x"}, "ax: got 'x'; allowed: None, or axes"),
        ({"color": "x"}, "color: got 'x'"),
        ({"color": -1}, "color: got -1"),
        ({"seed": "x"}, "seed: got 'x'"),
        ({"seed": -1}, "seed: got -1"),
    ],
)
def test_how_a_plot_may_look(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        MIXTURE.plot(**arguments)


def test_a_large_array_is_named_by_its_first_wrong_place():
    means = np.zeros((300, 2))
    means[[7, 9], 1] = np.nan, np.inf
    parts = (np.full(300, 1 / 300), means, np.ones((300, 2)), "diag")
    wanted = r"means holds 2 NaN or infinite values, the first at index \(7, 1\): got nan"
    with pytest.raises(InvalidInput, match=wanted) as caught:
        Mixture(*parts)
    assert len(str(caught.value)) < 200
    weights = np.full(300, 1 / 299)
    weights[5] = 0
    with pytest.raises(InvalidInput, match=r"component 5: got 0.0; .* above 0. Leave out"):
        Mixture(weights, np.zeros((300, 2)), np.ones((300, 2)), "diag")


def test_values_in_messages_are_short():
    for value in ("x" * 10_000, list(range(10_000)), LARGE, {"a": LARGE}, [LARGE] * 50):
        assert len(str(InvalidInput("it", got=value))) < 1_000
    assert "array of shape (500, 2)" in str(InvalidInput("it", got={"a": LARGE}))
    assert InvalidInput("it", got=LARGE).got is LARGE


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("far", [1e155, 1e200, 1e300])
def test_far_out_the_nearest_component_has_all_of_a_row(kind, far):
    covariances = {
        "full": [[[1.0]], [[4.0]]],
        "tied": [[1.0]],
        "diag": [[1.0], [4.0]],
        "spherical": [1.0, 4.0],
    }[kind]
    mixture = Mixture([0.7, 0.3], [[0.0], [5.0]], covariances, kind)
    rows = [[far], [-far]]
    # By their own deviations: the wider is nearer on both sides; of one width, the one on that side.
    nearest = [1, 0] if kind == "tied" else [1, 1]
    np.testing.assert_array_equal(mixture.component(rows), nearest)
    np.testing.assert_array_equal(mixture.responsibilities(rows), np.eye(2)[nearest])


def test_far_out_what_is_missing_says_nothing():
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [5.0, 0.0]], [[1.0, 9.0], [4.0, 1.0]], "diag")
    rows = [[1e200, np.nan], [np.nan, 1e200]]
    found = mixture.responsibilities(rows, missing="marginalise")
    np.testing.assert_array_equal(found, [[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(mixture.component(rows, missing="marginalise"), [1, 0])
