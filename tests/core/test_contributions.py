"""Contributions and explanations: what of a row is unusual, and how much."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import kinds, random_mixture, seeds
from scipy import stats

from gmm_core.answering.contributions import conditional_deviations, deviations, level_deviations
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel

sizes = st.integers(1, 4)


@given(seeds, st.integers(1, 3), sizes, kinds)
def test_it_is_the_deviation_from_the_conditional(seed, k, d, kind):
    """The oracle conditions each component on all other features, one row and feature at a time."""
    mixture = random_mixture(seed, k, d, kind)
    X, component = mixture.sample(6, seed), np.arange(6) % k
    off, expected = conditional_deviations(mixture, X, component)
    for row, number in enumerate(component):
        own = mixture.picked([int(number)])
        for j in range(d):
            others = {i: float(X[row, i]) for i in range(d) if i != j}
            left = own.condition(others)
            mean, sd = left.means[0, 0], left.standard_deviations()[0, 0]
            assert expected[row, j] == pytest.approx(mean, rel=1e-8, abs=1e-8)
            assert off[row, j] == pytest.approx((X[row, j] - mean) / sd, rel=1e-8, abs=1e-8)


@given(seeds, sizes, kinds)
def test_rows_of_one_gaussian_have_standard_normal_deviations(seed, d, kind):
    mixture = random_mixture(seed, 1, d, kind)
    off, _ = conditional_deviations(mixture, mixture.sample(2_000, seed), np.zeros(2_000, int))
    for j in range(d):  # 0.01 % of right ones would be farther off
        assert stats.kstest(off[:, j], "norm").statistic < 2.2 / np.sqrt(2_000)


@given(seeds, sizes, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_do_not_matter(seed, d, unit, shift):
    mixture = random_mixture(seed, 3, d)
    scale = unit ** np.arange(d)
    moved = Mixture(
        mixture.weights,
        mixture.means * scale + shift,
        mixture.covariances * scale[:, None] * scale,
    )
    X, component = mixture.sample(20, seed), np.arange(20) % 3
    off, expected = conditional_deviations(mixture, X, component)
    again, also = conditional_deviations(moved, X * scale + shift, component)
    # An offset of many deviations costs digits of the rows themselves.
    slack = 1e-7 + 1e-13 * (1 + abs(shift)) / scale.min()
    np.testing.assert_allclose(again, off, rtol=1e-6, atol=slack)
    np.testing.assert_allclose(also, expected * scale + shift, rtol=1e-6, atol=slack * scale.max())


def test_what_is_usual_alone_can_be_unusual_beside_the_rest():
    tied = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.99], [0.99, 1.0]]])
    off, expected = conditional_deviations(tied, [[1.0, -1.0]], [0])
    np.testing.assert_allclose(off, [[14.1, -14.1]], atol=0.01)
    np.testing.assert_allclose(expected, [[-0.99, 0.99]])


@given(seeds)
def test_a_rare_level_lies_as_far_as_a_gaussian_falls_by_the_same_factor(seed):
    rng = np.random.default_rng(seed)
    tables = tuple(rng.dirichlet(np.ones(m), 2) * 0.99 + 0.01 / m for m in (2, 5))
    mixture = MixedMixture(random_mixture(seed, 2, 1), tables)
    codes, component = rng.integers(0, [2, 5], (30, 2)).astype(float), np.arange(30) % 2
    off = level_deviations(mixture, codes, component)
    for row, number in enumerate(component):
        for j, table in enumerate(tables):
            own = table[number]
            factor = np.exp(-(off[row, j] ** 2) / 2)
            assert own[int(codes[row, j])] == pytest.approx(own.max() * factor)
    whole, expected = deviations(mixture, np.column_stack([np.zeros(30), codes]), component)
    np.testing.assert_array_equal(whole[:, 1:], off)
    assert expected[0, 1] == tables[0][0].argmax()


@pytest.mark.parametrize("component", [[2], [-1], [0.5], [[0]], ["a"]])
def test_components_that_are_not_there_are_refused(component):
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        conditional_deviations(random_mixture(1, 2, 2), [[0.0, 0.0]], component)


FEATURES = (Feature("amount", "log"), Feature("items"), Feature("shop", levels=("north", "south")))


@pytest.fixture(scope="module")
def model() -> DensityModel:
    numeric = Mixture(
        [0.5, 0.5],
        [[np.log(20), 2.0], [np.log(200), 20.0]],
        [[[0.25, 0.225], [0.225, 0.25]], [[0.25, 0.0], [0.0, 4.0]]],
    )
    mixture = MixedMixture(numeric, [[[0.7, 0.299, 0.001], [0.5, 0.4, 0.1]]])
    return DensityModel.build("till", FEATURES, mixture, 0.99)


def said(model: DensityModel, amount: float, items: float, shop: str) -> str:
    columns = {"amount": [amount], "items": [items], "shop": [shop]}
    return str(model.output(columns, "explanation")["explanation"][0])


def test_a_value_is_told_with_its_size_side_and_what_would_be_usual(model):
    # Given items of 2 the log of the amount has mean log 20 and variance 0.25 - 0.225^2 / 0.25.
    off = 0.8 / np.sqrt(0.25 - 0.225**2 / 0.25)
    text = said(model, 20 * np.exp(0.8), 2, "north")
    assert text.startswith(f"component 0: amount 44.51 is {off:.3g} sd above the usual 20; ")
    assert "items 2 is" in text
    assert "below the usual 2.72" in text
    assert text.endswith(", given the other values")
    assert "shop" not in text


def test_a_level_is_told_with_its_share(model):
    text = said(model, 20, 2, "elsewhere")
    assert text == "component 0: shop (other) has a share of 0.001 there, north 0.7"


def test_a_usual_row_says_so_and_a_rare_sum_of_usual_values_too(model):
    assert said(model, 20, 2, "north") == "component 0: every value within 2 sd of the usual"
    strict = dataclasses.replace(model, anomaly_above=1e-6)
    assert "rare as a whole" in said(strict, 22, 2.1, "south")


def test_at_most_three_are_named_the_farthest_first():
    mixture = Mixture([1.0], np.zeros((1, 5)), np.ones((1, 5)), "diag")
    five = DensityModel.build("s", [Feature(name) for name in "abcde"], mixture, 0.99)
    row = {name: [value] for name, value in zip("abcde", [3.0, -5.0, 2.5, 1.0, 4.0], strict=True)}
    text = str(five.output(row, "explanation")["explanation"][0])
    assert [part.split()[0] for part in text.removeprefix("component 0: ").split("; ")] == [
        "b", "e", "a",
    ]  # fmt: skip
    assert "b -5 is 5 sd below the usual 0" in text


def test_contributions_are_named_and_entropy_is_that_of_the_shares(model):
    columns = {"amount": [20.0, 60.0, 1e9], "items": [2.0, 6.0, 2.0], "shop": ["north"] * 3}
    got = model.output(columns, "contributions")
    assert list(got) == [
        *(f"{name}_contribution" for name in ("amount", "items", "shop")), "component", "component_id",
    ]  # fmt: skip
    shares = np.column_stack(list(model.output(columns, "responsibilities").values()))
    entropy = model.output(columns, "entropy")["entropy"]
    np.testing.assert_allclose(entropy, stats.entropy(shares, axis=1), atol=1e-15)
    assert entropy[2] == 0
    assert (entropy >= 0).all()


@given(seeds, st.integers(1, 4), kinds)
def test_entropy_lies_between_none_and_log_k(seed, k, kind):
    mixture = random_mixture(seed, k, 2, kind, spread=0.5)
    one = DensityModel("s", (Feature("a"), Feature("b")), mixture, _TAIL, 0.9)
    X = mixture.sample(200, seed)
    entropy = one.output({"a": X[:, 0], "b": X[:, 1]}, "entropy")["entropy"]
    assert (entropy >= 0).all()
    assert (entropy <= np.log(k) + 1e-12).all()


_TAIL = DensityModel.build(
    "s", [Feature("a")], Mixture([1.0], [[0.0]], [1.0], "spherical"), 0.9
).tail
