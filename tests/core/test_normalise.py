"""Mode-specific normalisation and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import kinds, random_mixture, random_rows, seeds

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.normalising.distances import denormalise, normalise, normalise_by


@given(seeds, st.integers(1, 4), st.integers(1, 3), kinds, st.sampled_from([0.0, 1e6]))
def test_there_and_back(seed, k, d, kind, offset):
    base = random_mixture(seed, k, d, kind)
    mixture = Mixture(base.weights, base.means + offset, base.covariances, kind)
    X = random_rows(seed, 40, d) + offset
    values, component = normalise(mixture, X)
    np.testing.assert_array_equal(component, mixture.component(X))
    np.testing.assert_allclose(denormalise(mixture, values, component), X, rtol=1e-14, atol=1e-13)


def test_it_is_the_distance_from_the_rows_own_component():
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [100.0, 10.0]], [[1.0, 4.0], [9.0, 1.0]], "diag")
    values, component = normalise(mixture, [[2.0, 4.0], [106.0, 9.0]])
    assert component.tolist() == [0, 1]
    np.testing.assert_allclose(values, [[2 / 4, 4 / 8], [6 / 12, -1 / 4]])


def test_rows_of_the_model_are_nearly_all_within_one():
    mixture = random_mixture(1, 3, 3)
    values, _ = normalise(mixture, mixture.sample(20_000, seed=1))
    assert (np.abs(values) < 1).mean() > 0.999
    assert values.std() == pytest.approx(0.25, abs=0.02)


@given(seeds, st.sampled_from([1e-6, 1.0, 1e6]))
def test_units_do_not_matter(seed, unit):
    mixture, X = random_mixture(seed, 3, 2), random_rows(seed, 30, 2)
    scaled = Mixture(mixture.weights, mixture.means * unit, mixture.covariances * unit**2)
    component = mixture.component(X)
    np.testing.assert_allclose(
        normalise_by(scaled, X * unit, component), normalise_by(mixture, X, component), atol=1e-9
    )


def test_components_may_come_as_floats_as_frames_give_them():
    mixture, X = random_mixture(1, 3, 2), random_rows(1, 10, 2)
    values, component = normalise(mixture, X)
    np.testing.assert_array_equal(
        denormalise(mixture, values, component.astype(float)),
        denormalise(mixture, values, component),
    )


@pytest.mark.parametrize("component", [[3], [-1], [0.5], [np.nan], ["a"], [None]])
def test_components_that_are_none_are_refused(component):
    with pytest.raises(InvalidInput, match="whole numbers from 0 to 2"):
        denormalise(random_mixture(1, 3, 2), [[0.0, 0.0]], component)
