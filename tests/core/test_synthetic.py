"""Recipes of made-up rows: laws of the clock, of days, of fewer features, and of their plain form."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmm_core.synthetic import TRANSACTIONS, Recipe

NAMES = [feature.name for feature in TRANSACTIONS.features]


@given(season=st.floats(0, 0.99), peak=st.floats(0, 24))
def test_the_clock_goes_round_once_and_is_densest_at_the_peak(season, peak):
    recipe = dataclasses.replace(TRANSACTIONS, season=season, peak=peak)
    shares = np.linspace(0, 1, 2_001)
    times = recipe.clock(shares)
    assert ((times >= 0) & (times < 1)).all()
    steps = np.mod(np.diff(times) + 0.5, 1.0) - 0.5  # the short way round
    assert (steps > 0).all(), "no time comes twice"
    assert steps.sum() == pytest.approx(1)
    middle = np.mod(recipe.clock(np.array([0.5]))[0] - peak / 24 + 0.5, 1.0) - 0.5
    assert middle == pytest.approx(0, abs=1e-12)
    # Rows come 1 / (1 + a cos(2 pi v)) times as densely as on average: the step is its inverse.
    centres = (shares[1:] + shares[:-1]) / 2
    wanted = (1 + season * np.cos(2 * np.pi * centres)) / 2_000
    np.testing.assert_allclose(steps, wanted, rtol=1e-3, atol=1e-9)


@given(day=st.integers(0, 10_000), names=st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_fewer_features_are_the_marginal_on_every_day(day, names):
    fewer, index = TRANSACTIONS.only(*names), [NAMES.index(name) for name in names]
    assert [feature.name for feature in fewer.features] == names
    marginal = TRANSACTIONS.on(day).marginal(index)
    np.testing.assert_allclose(fewer.on(day).means, marginal.means, rtol=1e-12)
    np.testing.assert_array_equal(fewer.on(day).covariances, marginal.covariances)


@given(
    season=st.floats(0, 0.99), peak=st.floats(0, 24), share=st.floats(0, 0.5),
    distance=st.floats(0, 100),
    drift=st.lists(st.floats(-9, 9), min_size=3, max_size=3),
)  # fmt: skip
def test_json_keeps_a_recipe(season, peak, share, distance, drift):
    recipe = Recipe(
        TRANSACTIONS.features, TRANSACTIONS.mixture, tuple(drift), season, peak, share, distance
    )
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
