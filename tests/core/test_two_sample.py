"""The energy test: its definition in slow plain numpy, its laws, and what it sees and does not see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import random_mixture, seeds

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.squashing.two_sample import energy_test, sample_law


def slow_distance(x, y):
    def mean(a, b):
        return np.mean([np.linalg.norm(p - q) for p in a for q in b])

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


@settings(max_examples=15)
@given(seeds, st.integers(2, 9), st.integers(2, 9), st.integers(1, 3))
def test_the_distance_is_that_of_its_definition_and_moves_with_nothing(seed, n, m, d):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(1, 2, size=(m, d))
    found = energy_test(x, y, seed=seed)
    assert found.distance == pytest.approx(max(slow_distance(x, y), 0), rel=1e-9, abs=1e-12)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    for one, other in ((x @ turn + 7, y @ turn + 7), (y, x)):
        assert energy_test(one, other).distance == pytest.approx(found.distance, abs=1e-9)
    assert 0.001 <= found.p_value <= 1


def test_samples_that_are_the_same_are_no_distance_apart():
    x = np.random.default_rng(0).normal(size=(20, 2))
    assert energy_test(x, x) == (pytest.approx(0, abs=1e-12), 1.0)


def test_p_values_of_equal_distributions_are_spread_evenly():
    rng = np.random.default_rng(1)
    p = [energy_test(*rng.normal(size=(2, 25, 2)), seed=i).p_value for i in range(120)]
    below = np.mean(np.array(p)[:, None] <= [0.1, 0.3, 0.5, 0.7, 0.9], axis=0)
    assert np.abs(below - [0.1, 0.3, 0.5, 0.7, 0.9]).max() < 0.15  # 1.63 / sqrt(120), 1 %


def test_a_sample_of_the_mixture_keeps_the_law_and_one_of_another_breaks_it():
    mixture = random_mixture(3, 4, 3)
    units = np.array([1e-6, 1.0, 1e9])
    scaled = Mixture(
        mixture.weights, mixture.means * units, mixture.covariances * np.outer(units, units)
    )
    assert sample_law(scaled.sample(300, seed=5), scaled).holds
    assert sample_law(mixture.sample(300, seed=5), mixture).holds
    assert not sample_law(mixture.sample(300, seed=5) + np.array([0.0, 5.0, 0.0]), mixture).holds


def test_it_sees_a_correlation_that_no_single_column_shows():
    pair = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.9], [0.9, 1.0]]])
    other = Mixture([1.0], [[0.0, 0.0]], [[[1.0, -0.9], [-0.9, 1.0]]])
    law = sample_law(other.sample(300, seed=1), pair)
    assert (law.name, law.holds) == ("two_sample", False)
    for feature in (0, 1):
        assert sample_law(other.sample(300, seed=1)[:, [feature]], pair.marginal([feature])).holds


@pytest.mark.parametrize("shapes", [((1, 2), (9, 2)), ((9, 2), (9, 3)), ((4_001, 1), (9, 1))])
def test_what_cannot_be_compared(shapes):
    with pytest.raises(InvalidInput):
        energy_test(*(np.zeros(shape) for shape in shapes))
