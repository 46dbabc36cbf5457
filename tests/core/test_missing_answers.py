"""Rows that lack values: patterns, scores, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from gaps import NAN, with_gaps
from hypothesis import given
from hypothesis import strategies as st
from mixtures import kinds, random_mixture, random_rows, seeds

from gmm_core.block import fit_block
from gmm_core.em import fit
from gmm_core.errors import BlockmixError, InvalidInput
from gmm_core.features import Feature
from gmm_core.fitting.patterns import observed_moments, patterns_of


@given(seeds, st.integers(1, 9))
def test_patterns_share_the_rows_out(seed, d):
    X = np.random.default_rng(seed).normal(size=(40, d))
    X[np.random.default_rng(seed).random((40, d)) < 0.4] = NAN
    found = patterns_of(X)
    assert sorted(np.concatenate([p.index for p in found]).tolist()) == list(range(40))
    for pattern in found:
        assert (np.isnan(X[pattern.index]).sum(axis=1) == len(pattern.absent)).all()
        assert np.isnan(X[np.ix_(pattern.index, pattern.absent)]).all()
        assert sorted([*pattern.observed, *pattern.absent]) == list(range(d))
    assert len({p.observed.tobytes() for p in found}) == len(found)


@given(seeds, st.booleans())
def test_observed_moments_are_numpys(seed, weighted):
    X = with_gaps(random_rows(seed, 50, 3) + 1e7, seed)
    weight = np.random.default_rng(seed).random(50) + 0.1 if weighted else None
    mean, variance = observed_moments(X, weight)
    for feature, column in enumerate(X.T):
        there = ~np.isnan(column)
        own = None if weight is None else weight[there]
        want = np.average(column[there], weights=own)
        assert mean[feature] == pytest.approx(want, abs=1e-7)
        spread = np.average((column[there] - want) ** 2, weights=own)
        assert variance[feature] == pytest.approx(spread, rel=1e-7)


@given(seeds, st.integers(1, 4), kinds)
def test_scores_of_rows_with_gaps_are_those_of_the_marginals(seed, k, kind):
    mixture = random_mixture(seed, k, 3, kind)
    X = with_gaps(mixture.sample(30, seed), seed, 0.5)
    density = mixture.log_prob(X, missing="marginalise")
    shares = mixture.responsibilities(X, missing="marginalise")
    for i, x in enumerate(X):
        there = np.flatnonzero(~np.isnan(x)).tolist()
        part = mixture.marginal(there)
        assert density[i] == pytest.approx(part.log_prob([x[there]])[0], rel=1e-12)
        np.testing.assert_allclose(shares[i], part.responsibilities([x[there]])[0], atol=1e-12)
    np.testing.assert_array_equal(
        mixture.component(X, missing="marginalise"), shares.argmax(axis=1)
    )


def test_a_row_without_any_value_says_nothing():
    mixture = random_mixture(1, 3, 2)
    nothing = [[NAN, NAN]]
    assert mixture.log_prob(nothing, missing="marginalise")[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(
        mixture.responsibilities(nothing, missing="marginalise")[0], mixture.weights
    )
    X = with_gaps(random_rows(1, 100, 2), 1)
    more = np.vstack([nothing, X, nothing])
    weight = np.concatenate([[5.0], np.ones(100), [7.0]])
    one = fit(X, 2, missing="marginalise")
    for other in (
        fit(more, 2, missing="marginalise"),
        fit(more, 2, missing="marginalise", sample_weight=weight),
    ):
        np.testing.assert_allclose(other.mixture.means, one.mixture.means, atol=1e-10)
        assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-12)


ROWS = with_gaps(random_rows(1, 20, 2), 1)


@pytest.mark.parametrize(
    ("X", "k", "arguments", "message"),
    [
        (ROWS, 2, {}, r'NaN or infinite .*missing="marginalise"'),
        (ROWS, 2, {"missing": "error"}, r'missing="marginalise"'),
        (ROWS, 2, {"missing": "drop"}, "missing: got 'drop'; allowed: error, marginalise"),
        (np.where(ROWS > 3, np.inf, ROWS), 2, {"missing": "marginalise"}, "hold .* infinite"),
        (
            np.column_stack([ROWS[:, 0], np.full(20, NAN)]),
            2,
            {"missing": "marginalise"},
            "feature 1 is missing in every row.*Drop the feature",
        ),
        (np.full((5, 2), NAN), 1, {"missing": "marginalise"}, "fewer rows than components: got 0"),
        ([[1.0, NAN], [1.0, 2.0], [NAN, 2.0]], 2, {"missing": "marginalise"}, "is constant"),
        (
            [[1.0, NAN], [1.0, NAN], [3.0, 4.0], [3.0, 5.0]],
            4,
            {"missing": "marginalise"},
            "fewer distinct rows than components: got 3",
        ),
    ],
)
def test_what_is_refused(X, k, arguments, message):
    with pytest.raises(BlockmixError, match=message):
        fit(X, k, **{"reg_covar": 0, **arguments})


def test_where_nothing_can_be_marginalised_the_message_does_not_say_so():
    with pytest.raises(InvalidInput) as caught:
        fit_block("s", "2024-05-01", [Feature("a"), Feature("b")], ROWS, k=1)
    assert "marginalise" not in str(caught.value)
    mixture = random_mixture(1, 2, 2)
    with pytest.raises(InvalidInput, match="marginalise"):
        mixture.log_prob(ROWS)
    with pytest.raises(InvalidInput) as caught:
        mixture.log_prob([[np.inf, 0.0]])
    assert "marginalise" not in str(caught.value)
