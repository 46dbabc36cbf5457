"""Several starts: the best is kept, and starts that fail do no harm unless all of them do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmm_core import FitFailed, InvalidInput
from gmm_core.fitting.starts import best_of, generators, sample_size

worths = st.lists(st.none() | st.integers(-3, 3), min_size=1, max_size=8)


def attempt(start: tuple[int, int | None]) -> tuple[int, int]:
    place, worth = start
    if worth is None:
        raise InvalidInput(f"start {place}")
    return place, worth


@given(worths)
def test_the_first_of_the_best_that_succeed_is_kept(starts):
    good = [worth for worth in starts if worth is not None]
    if not good:
        with pytest.raises(InvalidInput, match=f"start {len(starts) - 1}$"):
            best_of(enumerate(starts), attempt, lambda found: found[1])
        return
    found = best_of(enumerate(starts), attempt, lambda found: found[1])
    assert found == (starts.index(max(good)), max(good))


def test_what_is_no_failure_of_a_fit_goes_through():
    with pytest.raises(ZeroDivisionError):
        best_of([1, 0], lambda start: 1 / start, float)
    with pytest.raises(FitFailed, match="no start"):
        best_of([], float, float)


def test_generators_are_those_of_the_seed_and_the_first_gives_way_to_what_is_given():
    draws = [rng.random() for rng in generators(7, 3)]
    assert len(set(draws)) == 3
    first, *others = generators(7, 3, "given")
    assert first == "given"
    assert [rng.random() for rng in others] == draws[1:]
    assert generators(7, 1)[0].random() == draws[0]
    assert np.random.default_rng(np.random.SeedSequence(7).spawn(1)[0]).random() == draws[0]


def test_a_sample_grows_with_what_is_estimated():
    assert sample_size(1_000, 2, 3) == 1_000
    assert sample_size(1_000, 50, 9) == 10_000
