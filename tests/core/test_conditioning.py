"""Laws of marginals and conditionals, against plain numpy with explicit inverses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds

from gmm_core.errors import InvalidInput
from gmm_core.gaussian import kind_of
from gmm_core.mixture import Mixture

ks = st.integers(1, 5)


@st.composite
def splits(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """Number of features, some of them in any order, and the others in theirs."""
    d = draw(st.integers(2, 5))
    known = draw(st.permutations(range(d)))[: draw(st.integers(1, d - 1))]
    return d, list(known), [i for i in range(d) if i not in known]


def values_of(row: np.ndarray, features: list[int]) -> dict[int, float]:
    return {feature: row[feature] for feature in features}


def slow_condition(mixture: Mixture, given: dict[int, float]) -> tuple[np.ndarray, ...]:
    """Bishop's 2.81 and 2.82 as they stand; the weights by Bayes."""
    known = list(given)
    rest = [i for i in range(mixture.n_features) if i not in known]
    x = np.array([given[i] for i in known])
    weights, means, covariances = [], [], []
    parts = zip(mixture.weights, mixture.means, mixture.full_covariances(), strict=True)
    for weight, mean, full in parts:
        inverse, delta = np.linalg.inv(full[np.ix_(known, known)]), x - mean[known]
        gain = full[np.ix_(rest, known)] @ inverse
        means.append(mean[rest] + gain @ delta)
        covariances.append(full[np.ix_(rest, rest)] - gain @ full[np.ix_(known, rest)])
        density = np.exp(-0.5 * delta @ inverse @ delta) / np.sqrt(
            np.linalg.det(2 * np.pi * full[np.ix_(known, known)])
        )
        weights.append(weight * density)
    return np.array(weights) / sum(weights), np.array(means), np.array(covariances)


@given(seeds, ks, splits(), kinds)
def test_a_marginal_has_slices_of_the_moments(seed, k, split, kind):
    (d, known, _), mixture = split, random_mixture(seed, k, split[0], kind)
    part = mixture.marginal(known)
    assert part.covariance_type == kind
    assert part.n_features == len(known)
    np.testing.assert_array_equal(part.weights, mixture.weights)
    np.testing.assert_array_equal(part.means, mixture.means[:, known])
    np.testing.assert_allclose(part.mean(), mixture.mean()[known], atol=1e-13)
    want = mixture.covariance()[np.ix_(known, known)]
    np.testing.assert_allclose(part.covariance(), want, rtol=1e-12, atol=1e-13)
    assert mixture.marginal(range(d)) == mixture


@given(seeds, ks, st.permutations(range(4)), st.permutations(range(3)), kinds)
def test_a_marginal_of_a_marginal_is_a_marginal(seed, k, first, second, kind):
    mixture, first, second = random_mixture(seed, k, 4, kind), first[:3], second[:2]
    both = [first[i] for i in second]
    assert mixture.marginal(first).marginal(second) == mixture.marginal(both)


def test_a_marginal_is_the_integral_over_what_is_left_out():
    mixture = random_mixture(3, 3, 2)
    grid = np.linspace(-40, 40, 8_001)
    for x in (-3.0, 0.0, 2.5):
        rows = np.column_stack([grid, np.full_like(grid, x)])
        want = np.trapezoid(np.exp(mixture.log_prob(rows)), grid)
        got = np.exp(mixture.marginal([1]).log_prob([[x]]))[0]
        assert got == pytest.approx(want, rel=1e-9)


@given(seeds, ks, splits(), kinds)
def test_the_chain_rule_of_densities(seed, k, split, kind):
    (d, known, rest), mixture = split, random_mixture(seed, k, split[0], kind)
    for row in random_rows(seed, 4, d):
        conditional = mixture.condition(values_of(row, known))
        assert conditional.covariance_type == kind
        chained = mixture.marginal(known).log_prob([row[known]]) + conditional.log_prob([row[rest]])
        np.testing.assert_allclose(chained, mixture.log_prob([row]), rtol=1e-9, atol=1e-9)


@given(seeds, ks, splits(), kinds)
def test_a_conditional_is_the_textbooks(seed, k, split, kind):
    (d, known, _), mixture = split, random_mixture(seed, k, split[0], kind)
    given = values_of(random_rows(seed, 1, d)[0], known)
    weights, means, covariances = slow_condition(mixture, given)
    got, kept = mixture.condition(given), weights > 1e-320
    np.testing.assert_allclose(got.weights, weights[kept], rtol=1e-8, atol=1e-300)
    np.testing.assert_allclose(got.means, means[kept], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(got.full_covariances(), covariances[kept], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(got.mean(), weights @ means, rtol=1e-8, atol=1e-9)


@given(seeds, ks, kinds)
def test_conditioning_in_two_steps_is_conditioning_at_once(seed, k, kind):
    mixture, (a, b, *_) = random_mixture(seed, k, 4, kind), random_rows(seed, 1, 4)[0]
    at_once = mixture.condition({3: b, 1: a})
    in_steps = mixture.condition({1: a}).condition({2: b})  # feature 3 is number 2 of those left
    X = random_rows(seed + 1 & 0xFFFF, 5, 2)
    np.testing.assert_allclose(in_steps.log_prob(X), at_once.log_prob(X), rtol=1e-8, atol=1e-8)


@given(seeds, ks, splits(), st.sampled_from(["tied", "spherical", "diag"]))
def test_the_equivalent_full_mixture_conditions_alike(seed, k, split, kind):
    (d, known, rest), mixture = split, random_mixture(seed, k, split[0], kind)
    given = values_of(random_rows(seed, 1, d)[0], known)
    got, want = mixture.condition(given), mixture.as_type("full").condition(given)
    assert got.covariances.shape == kind_of(kind).shape(got.n_components, len(rest))
    np.testing.assert_allclose(got.weights, want.weights, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(got.means, want.means, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(got.full_covariances(), want.full_covariances(), atol=1e-12)
    np.testing.assert_allclose(
        mixture.marginal(known).covariance(), mixture.as_type("full").marginal(known).covariance()
    )


def test_a_conditional_is_what_is_seen_in_samples():
    mixture = random_mixture(11, 3, 2, spread=1.0)
    X = mixture.sample(400_000, seed=1)
    near = X[np.abs(X[:, 0] - 0.5) < 0.02, 1]
    conditional = mixture.condition({0: 0.5})
    sd = np.sqrt(conditional.covariance()[0, 0])
    assert near.mean() == pytest.approx(conditional.mean()[0], abs=4 * sd / np.sqrt(len(near)))
    assert near.std() == pytest.approx(sd, rel=0.05)


def test_no_values_change_nothing():
    mixture = random_mixture(1, 2, 3)
    assert mixture.condition({}) == mixture


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("x", [1e3, -1e8, 1e20, 1e150, -1e200])
def test_far_values_leave_a_proper_mixture(kind, x):
    conditional = random_mixture(1, 4, 3, kind).condition({1: x})
    assert conditional.weights.sum() == pytest.approx(1, abs=1e-14)
    assert np.isfinite(conditional.means).all()
    assert np.isfinite(conditional.log_prob([[0.0, 0.0]])).all()


def test_far_values_go_to_the_widest_and_among_equals_to_the_nearest():
    wide = Mixture([0.99, 0.01], [[0.0, 1.0], [0.0, 2.0]], [[1.0, 1.0], [1.1, 1.0]], "diag")
    assert wide.condition({0: 1e9}).means.tolist() == [[2.0]]
    tied = Mixture([0.99, 0.01], [[0.0, 1.0], [1e-3, 2.0]], np.eye(2), "tied")
    assert tied.condition({0: 1e9}).means.tolist() == [[2.0]]
    assert tied.condition({0: -1e9}).means.tolist() == [[1.0]]


@pytest.mark.parametrize("kind", ["tied", "spherical", "full"])
@pytest.mark.parametrize("x", [3.0, 1e6, 1e12, 1e100])
def test_components_that_differ_in_nothing_known_keep_their_weights(kind, x):
    # Far out a squared distance leaves no digits for the weights: 1e24 + log(0.9) is 1e24.
    pair = Mixture([0.9, 0.1], [[1.0, 0.0], [1.0, 5.0]], [1.0, 1.0], "spherical").as_type(kind)
    np.testing.assert_allclose(pair.condition({0: x}).weights, [0.9, 0.1], rtol=1e-12)


def test_weights_far_out_are_those_of_exact_arithmetic():
    # Equal widths: the log-ratio is (m2 - m1) (x - (m1 + m2) / 2), a product without cancellation.
    pair = Mixture([0.5, 0.5], [[0.0, 0.0], [1e-9, 5.0]], [1.0, 1.0], "spherical")
    x = 2.0**30
    log_ratio = 1e-9 * (x - 0.5e-9)
    got = pair.condition({0: x}).weights
    assert np.log(got[1] / got[0]) == pytest.approx(log_ratio, rel=1e-12)


def test_a_component_whose_weight_is_too_small_for_a_float_is_left_out():
    pair = Mixture([0.5, 0.5], [[0.0, 0.0], [38.0, 5.0]], [1.0, 1.0], "spherical")
    both = pair.condition({0: 0.0})  # exp(-722) is still a float
    assert both.n_components == 2
    assert np.log(both.weights[1]) == pytest.approx(-722)
    alone = pair.condition({0: -2.0})  # exp(-798) is not
    assert alone.means.tolist() == [[0.0]]
    assert alone.weights.tolist() == [1.0]


def test_wild_units_cost_no_digits():
    units = 10.0 ** np.array([-9.0, 0.0, 9.0])
    plain = random_mixture(4, 3, 3)
    scaled = Mixture(plain.weights, plain.means * units, plain.covariances * np.outer(units, units))
    x = {0: 0.3, 2: -1.0}
    want = plain.condition(x)
    got = scaled.condition({i: value * units[i] for i, value in x.items()})
    np.testing.assert_allclose(got.weights, want.weights, rtol=1e-9)
    np.testing.assert_allclose(got.means, want.means, rtol=1e-9)
    np.testing.assert_allclose(got.covariances, want.covariances, rtol=1e-9)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "got \\[\\]; allowed: different numbers from 0 to 2"),
        ([0, 0], "got \\[0, 0\\]"),
        ([-1], "got \\[-1\\]"),
        ([3], "got \\[3\\]"),
        ([0.5], "not numbered"),
        (["a"], r"not numbered.*list\(names\)\.index"),
    ],
)
def test_features_that_are_refused(features, message):
    mixture = random_mixture(1, 2, 3)
    with pytest.raises(InvalidInput, match=message):
        mixture.marginal(features)
    if features and len(set(features)) == len(features):
        with pytest.raises(InvalidInput, match=message):
            mixture.condition(dict.fromkeys(features, 0.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({0: 1.0, 1: 2.0}, "none is left.*log_prob"),
        ({0: np.nan}, "NaN or infinite"),
        ({0: np.inf}, "NaN or infinite"),
        ({0: "a"}, "not an array of numbers"),
        ({0: [1.0, 2.0]}, "wrong shape"),
    ],
)
def test_values_that_are_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        random_mixture(1, 2, 2).condition(given)


def test_wrong_conditions_are_told_in_words_that_fit():
    pair = random_mixture(1, 2, 2)
    with pytest.raises(InvalidInput, match="the vector of given values holds 1 NaN"):
        pair.condition({0: np.nan})
    with pytest.raises(InvalidInput, match="at most 1 of the 2 features"):
        pair.condition({0: 1.0, 1: 2.0})
