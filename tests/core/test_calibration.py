"""Calibration: shares of unusual rows, expected and observed; and the tail beyond a score of 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from mixtures import kinds, random_mixture, seeds

from gmm_core.answering.calibration import observed_shares, plot_calibration
from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import InvalidInput


@given(seeds, kinds)
def test_of_fresh_rows_of_the_model_as_many_are_unusual_as_expected(seed, kind):
    mixture = random_mixture(seed, 3, 2, kind)
    curve = TailCurve.of(mixture, seed=1, draws=20_000)
    nominal = np.array([0.01, 0.05, 0.2, 0.5])
    found = observed_shares(curve.score(mixture.log_prob(mixture.sample(4_000, seed=2))), nominal)
    # Five standard errors, and the curve's own.
    assert (np.abs(found - nominal) < 6 * np.sqrt(nominal / 4_000) + 0.002).all()


def test_it_counts():
    scores = np.array([0.0, 0.5, 0.9, 0.99, 1.0])
    nominal = np.array([0.0, 0.01, 0.1, 0.5, 1.0])
    plain = [(scores >= 1 - share).mean() for share in nominal]
    np.testing.assert_allclose(observed_shares(scores, nominal), plain)


def test_rows_that_the_model_does_not_know_are_above_the_diagonal():
    mixture = random_mixture(1, 3, 2)
    curve = TailCurve.of(mixture, draws=20_000)
    wide = mixture.mean() + 1.5 * (mixture.sample(2_000, seed=2) - mixture.mean())
    shares = observed_shares(curve.score(mixture.log_prob(wide)), [0.01, 0.1])
    assert (shares > [0.02, 0.15]).all()


@given(seeds)
def test_the_tail_keeps_its_digits(seed):
    curve = TailCurve.of(random_mixture(seed, 2, 2), draws=5_000)
    log_prob = curve.log_density[0] - np.array([-50.0, 0.0, 5.0, 40.0, 400.0])
    tail = curve.tail_probability(log_prob)
    np.testing.assert_allclose(tail[1:], curve.tail[0] * np.exp([0.0, -5.0, -40.0, -400.0]))
    np.testing.assert_allclose(1 - tail, curve.score(log_prob), atol=1e-12)


@pytest.mark.parametrize("score", [[], [1.5], [-0.1]])
def test_what_is_no_score_is_refused(score):
    with pytest.raises(InvalidInput, match="scores"):
        observed_shares(score, [0.1])


def test_the_plot_has_a_line_for_each_set_from_where_it_has_rows():
    axes = plot_calibration({"few": np.linspace(0, 1, 50), "many": np.linspace(0, 1, 5_000)}, 0.99)
    lines = {line.get_label(): line.get_xdata() for line in axes.get_lines()}
    assert min(lines["few"]) == pytest.approx(0.1, rel=0.1)
    assert min(lines["many"]) == pytest.approx(0.001, rel=0.1)
    assert lines["anomalies, left of here"][0] == pytest.approx(0.01)
