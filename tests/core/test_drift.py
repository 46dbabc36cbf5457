"""Drift: bands, alarms that do not flap, and what is said of blocks that moved."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import random_summary, seeds

from gmm_core.block import fit_block
from gmm_core.drift.report import Alarm, Band, drift_from, feature_shifts, in_words
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.health.changes import ComponentMove
from gmm_core.pooling import pool

scores = st.lists(st.floats(-5, 15), min_size=1, max_size=40)


@given(scores, st.integers(1, 4))
def test_an_alarm_changes_only_after_as_many_blocks_in_a_row(values, patience):
    alarm, states = Alarm(), []
    for at, value in enumerate(values):
        alarm = alarm.after(value, enter=4, leave=2, patience=patience)
        if alarm.up != (states[-1] if states else False):
            run = values[at - patience + 1 : at + 1]
            assert len(run) == patience
            assert all(v > 4 for v in run) if alarm.up else all(v < 2 for v in run)
        states.append(alarm.up)
    changes = [at for at in range(1, len(states)) if states[at] != states[at - 1]]
    assert all(b - a >= patience for a, b in pairwise(changes))


@given(st.booleans(), st.lists(st.floats(2, 4), max_size=20))
def test_between_the_bounds_nothing_changes(up, values):
    alarm = Alarm(up)
    for value in values:
        alarm = alarm.after(value, enter=4, leave=2, patience=1)
    assert alarm.up is up


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.floats(0.1, 10), st.floats(-9, 9)
)
def test_a_score_does_not_depend_on_the_unit(values, scale, shift):
    band, other = Band.of(values, 0.5), Band.of([scale * v + shift for v in values], scale * 0.5)
    assert other.score(scale * 7 + shift) == pytest.approx(band.score(7), rel=1e-6, abs=1e-6)


def test_one_odd_day_in_the_reference_does_not_hide_the_next():
    quiet, odd = Band.of([1.0, 1.1, 0.9, 1.05, 0.95]), Band.of([1.0, 1.1, 0.9, 1.05, 9.0])
    assert odd.score(3.0) > 0.4 * quiet.score(3.0) > 5


def block(key, shift=0.0, seed=None, n=400):
    rng = np.random.default_rng(int(key[-2:]) if seed is None else seed)
    group = rng.random(n) < 0.4
    rows = np.where(group[:, None], rng.normal(4, 1, (n, 2)), rng.normal(0, 1, (n, 2)))
    rows[:, 0] += shift
    return fit_block("made", key, [Feature("amount"), Feature("hour")], rows, k=3, restarts=1)


@pytest.fixture(scope="module")
def week():
    return [block(f"2024-05-0{day}") for day in range(1, 8)]


def test_a_day_like_the_others_is_usual_and_a_moved_one_is_not(week):
    usual = [drift_from(week, block(f"2024-06-{day}"), 512).score for day in range(10, 15)]
    assert max(usual) < 4.5
    drift = drift_from(week, block("2024-06-20", shift=1.5), 512)
    assert drift.score > 8
    assert drift.features[0].feature == "amount"
    lines = in_words(drift)
    assert "amount went up" in lines[0]
    assert not any("hour" in line for line in lines)


def test_a_short_reference_gives_no_score(week):
    drift = drift_from(week[:2], week[3], 256)
    assert drift.score is None
    assert drift.divergence.value > 0


def test_a_block_is_not_compared_with_itself(week):
    with pytest.raises(InvalidInput, match="own reference"):
        drift_from(week, week[0])


@given(seeds)
def test_shifts_of_the_same_mixture_are_none(seed):
    summary = random_summary(seed, n=60, k=2)
    for one in feature_shifts([summary], replace(summary, key="2030-01-01")):
        assert one.distance < 1e-12
        assert (one.mean_shift, one.spread_ratio) == pytest.approx((0, 1), abs=1e-9)
        assert one.score is None, "one block has no spread"


def test_a_shift_has_the_error_of_two_shares_and_is_judged_by_the_reference(week):
    """The largest difference, its error and its score, over the pooled mixtures themselves."""
    new = block("2024-06-20", shift=1.5)
    shift = drift_from(week, new, 64).features[0]
    values = np.linspace(-8, 12, 4_001)

    def beside(others, one):
        p, q = (m.marginal([0]).cdf(values) for m in (pool(others), one.mixture))
        at = np.abs(p - q).argmax()
        rows = sum(each.moments.weight for each in others)
        error = np.sqrt(p[at] * (1 - p[at]) / rows + q[at] * (1 - q[at]) / one.moments.weight)
        return abs(p[at] - q[at]), error

    far, error = beside(week, new)
    own = [beside([o for o in week if o is not each], each) for each in week]
    usual = np.array([one for one, _ in own])
    spread = np.hypot(
        1.4826 * np.median(np.abs(usual - np.median(usual))),
        np.sqrt(np.mean([one**2 for _, one in own])),
    )
    assert shift.distance == pytest.approx(far, abs=0.01)
    assert shift.error == pytest.approx(error, rel=0.1)
    assert shift.score == pytest.approx((far - np.median(usual)) / spread, rel=0.1)
    assert shift.score > 8
    assert f"{shift.distance:.0%} ± {shift.error:.0%}" in shift.in_words()
    assert max(abs(one.score) for one in drift_from(week, block("2024-06-21"), 64).features) < 5


def test_what_became_of_components_is_said(week):
    drift = drift_from(week[:3], week[3], 256)
    moves = [
        ComponentMove(1, 0.1, 0.5, 0.4),
        ComponentMove(2, 2.0, 0.5, 0.3),
        ComponentMove(3, None, 0.2, 0.0),
        ComponentMove(4, None, 0.0, 0.3),
    ]
    said = " ".join(in_words(replace(drift, features=()), moves))
    assert "Component 2 moved by 2 " in said
    assert "Component 3 is gone; it had 20%" in said
    assert "Component 4 is new, with 30%" in said
    assert "Component 1" not in said


def test_wrong_bounds_are_refused():
    with pytest.raises(InvalidInput, match="leave"):
        Alarm().after(1.0, enter=1, leave=2, patience=1)
    with pytest.raises(InvalidInput):
        Band.of([])
