"""What a window holds, whatever comes late, is replaced, is missing or is refused."""

from __future__ import annotations

import datetime as dt
from functools import cache

import fsspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders import FIRST, KEYS, declaration, make_rows, run_day

from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import BlockQuarantined, InvalidInput, ModelRefused, NotFound
from gmm_core.moments import Moments
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.memory import LocalEngine, MemoryServices, memory_services
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import CHAMPION, fit, land, merge, promote, remerge
from gmm_core.pipeline.windows import windows_with
from gmm_core.window import select_blocks

DAYS = st.integers(0, 40).map(lambda day: str(FIRST + dt.timedelta(days=day)))
ROWS = {key: make_rows(key) for key in KEYS}
curve_of = cache(TailCurve.of)


def declared(**window) -> Stream:
    return Stream.model_validate(
        declaration(mixture={"k": 2, "restarts": 1}, window={"blocks": 3, **window})
    )


def arrive(stream, key, at):
    """A block comes: the windows that hold it, and which of them changed."""
    for verb in (land, fit):
        verb(stream, key, at)
    return {one.key: one.changed for one in remerge(stream, key, at) if isinstance(one, Outcome)}


def newest(stream, key, at):
    """The mixture of the window as of a key, from the newest version of it."""
    version = max(
        (v for v in at.registry.versions(stream.name) if v.last_block == key),
        key=lambda v: v.version,
    )
    return version, at.registry.load(stream.name, version.version)


@given(st.sets(DAYS, min_size=1), st.data(), st.integers(1, 9))
def test_the_windows_that_hold_a_block_are_those_that_select_it(present, data, blocks):
    key = data.draw(st.sampled_from(sorted(present)))
    got = windows_with(key, present, blocks)
    assert got == [k for k in sorted(present) if key in select_blocks(present, k, blocks)]
    # A block that is not there yet changes the windows that will hold it.
    assert windows_with(key, present - {key}, blocks) == got


def test_windows_of_no_blocks_hold_nothing():
    with pytest.raises(InvalidInput, match="got 0"):
        windows_with(KEYS[0], KEYS, 0)


@pytest.fixture(autouse=True)
def each_curve_once(monkeypatch):
    """A tail curve is a fifth of a second, and these tests merge the same windows over and over."""
    monkeypatch.setattr(TailCurve, "of", curve_of)


@pytest.fixture
def at() -> MemoryServices:
    return memory_services(ROWS)


@pytest.fixture(params=["memory", "disk"])
def anywhere(request, tmp_path) -> MemoryServices:
    """The twins over a lake in memory, and over one on disk."""
    if request.param == "memory":
        return memory_services(ROWS)
    return MemoryServices(LocalEngine(ROWS), Lake(str(tmp_path / "lake")))


def test_a_late_block_is_merged_into_the_windows_that_hold_it_and_no_other(anywhere):
    at, stream = anywhere, declared()
    for key in (*KEYS[:3], *KEYS[4:8]):
        run_day(stream, key, at)
    before = {key: newest(stream, key, at)[0].version for key in (*KEYS[:3], *KEYS[4:8])}
    assert arrive(stream, KEYS[3], at) == dict.fromkeys(KEYS[3:6], True)
    for key, version in before.items():
        changed = newest(stream, key, at)[0].version != version
        assert changed is (key in KEYS[4:6]), key
    tags = newest(stream, KEYS[5], at)[0].tags
    assert (tags["first_block"], tags["blocks"]) == (KEYS[3], "3")
    assert at.store.manifest(stream.name, "components", KEYS[5]) == {
        "version": newest(stream, KEYS[5], at)[0].version
    }
    assert set(arrive(stream, KEYS[3], at).values()) == {False}, "the second time it is no news"
    assert at.registry.alias(stream.name, CHAMPION).last_block == KEYS[7]


def test_a_replaced_block_leaves_the_windows_beside_it(anywhere):
    at, stream = anywhere, declared()
    for key in KEYS[:6]:
        run_day(stream, key, at)
    old = {key: newest(stream, key, at) for key in KEYS[:6]}
    at.engine.blocks[KEYS[2]] = make_rows(KEYS[2], seed=99)
    assert arrive(stream, KEYS[2], at) == dict.fromkeys(KEYS[2:5], True)
    for key, (version, model) in old.items():
        now, other = newest(stream, key, at)
        touched = key in KEYS[2:5]
        assert (now.tags["block_set_hash"] != version.tags["block_set_hash"]) is touched
        assert (other.mixture != model.mixture) is touched
    # What was there before comes back as it was: no third version of any window.
    at.engine.blocks[KEYS[2]] = ROWS[KEYS[2]]
    count = len(at.registry.versions(stream.name))
    arrive(stream, KEYS[2], at)
    assert len(at.registry.versions(stream.name)) == count


def test_the_newest_window_that_a_late_block_changes_may_be_promoted(at):
    stream = declared()
    for key in (KEYS[0], KEYS[1], KEYS[3]):
        run_day(stream, key, at)
    for verb in (land, fit):
        verb(stream, KEYS[2], at)
    answers = list(remerge(stream, KEYS[2], at))
    decisions = [
        promote(stream, one.key, at, one.facts["version"]).facts["decision"] for one in answers
    ]
    assert [one.key for one in answers] == KEYS[2:4]
    assert decisions[0].startswith("held")
    assert decisions[1] == "promoted"
    assert at.registry.alias(stream.name, CHAMPION).tags["first_block"] == KEYS[1]


def test_a_gap_makes_the_window_reach_further(at):
    stream = declared()
    for key in (KEYS[0], KEYS[2], KEYS[7]):
        run_day(stream, key, at)
    tags = newest(stream, KEYS[7], at)[0].tags
    assert (tags["first_block"], tags["last_block"], tags["blocks"]) == (KEYS[0], KEYS[7], "3")


def test_windows_that_are_not_warm_are_refused_and_the_others_merged(at):
    stream = declared(minimum_blocks=2)
    for key in KEYS[:3]:
        for verb in (land, fit):
            verb(stream, key, at)
    answers = list(remerge(stream, KEYS[0], at))
    assert isinstance(answers[0], ModelRefused)
    assert "at least 2" in str(answers[0])
    assert [one.key for one in answers[1:]] == KEYS[1:3]
    assert at.registry.versions(stream.name)[-1].tags["blocks"] == "2"


def test_a_quarantined_block_is_in_no_window_until_it_is_repaired(anywhere):
    at, stream = anywhere, declared()
    run_day(stream, KEYS[0], at)
    at.engine.blocks[KEYS[1]] = ROWS[KEYS[1]].assign(price=-1.0)
    with pytest.raises(BlockQuarantined):
        land(stream, KEYS[1], at)
    run_day(stream, KEYS[2], at)
    assert newest(stream, KEYS[2], at)[0].tags["blocks"] == "2"
    with pytest.raises(NotFound, match=f"blockmix fit orders {KEYS[1]}"):
        list(remerge(stream, KEYS[1], at))
    at.engine.blocks[KEYS[1]] = ROWS[KEYS[1]]
    assert arrive(stream, KEYS[1], at) == dict.fromkeys(KEYS[1:3], True)
    assert newest(stream, KEYS[2], at)[0].tags["blocks"] == "3"
    # A later delivery that is refused changes no window.
    at.engine.blocks[KEYS[1]] = ROWS[KEYS[1]].assign(price=-1.0)
    with pytest.raises(BlockQuarantined):
        land(stream, KEYS[1], at)
    assert not merge(stream, KEYS[2], at).changed


def test_the_window_as_of_any_past_key_is_the_one_of_that_day(at):
    stream = declared()
    for key in KEYS[:5]:
        run_day(stream, key, at)
    later = memory_services(ROWS)
    for key in KEYS[:5]:
        for verb in (land, fit):
            verb(stream, key, later)
    for key in KEYS[:5]:
        merge(stream, key, later)
        assert newest(stream, key, later)[1].mixture == newest(stream, key, at)[1].mixture


COUNT = 4


@cache
def in_order():
    """Block set hash and mixture of each window, the blocks arriving day by day."""
    at, stream = memory_services(ROWS), declared()
    for key in KEYS[:COUNT]:
        arrive(stream, key, at)
    return {key: _content(stream, key, at) for key in KEYS[:COUNT]}


def _content(stream, key, at):
    version, model = newest(stream, key, at)
    return version.tags["block_set_hash"], model.mixture.content_hash()


@given(st.permutations(KEYS[:COUNT]))
@settings(max_examples=6, deadline=None)
def test_the_order_of_arrival_changes_no_window(order):
    at, stream = memory_services(ROWS), declared()
    for key in order:
        arrive(stream, key, at)
    assert {key: _content(stream, key, at) for key in KEYS[:COUNT]} == in_order()
    # No window is left behind: merging any of them again finds nothing to do.
    assert not any(merge(stream, key, at).changed for key in KEYS[:COUNT])


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_every_covariance_type_goes_through_the_whole_pipeline(kind):
    at = memory_services(ROWS)
    stream = declared().with_overrides(covariance_type=kind)
    for key in KEYS[:3]:
        assert run_day(stream, key, at) == [True] * 5
        assert run_day(stream, key, at) == [False] * 5
    version, model = newest(stream, KEYS[2], at)
    assert version.tags["gate"].split("/")[0] == version.tags["gate"].split("/")[1]
    assert model.mixture.covariance_type == kind
    assert {at.store.summary("orders", key).mixture.covariance_type for key in KEYS[:3]} == {kind}
    folder = at.store.path("orders", "components", KEYS[2])
    with fsspec.open(f"{folder}/v{version.version}.parquet") as file:
        table = pd.read_parquet(file)
    assert len(table) == 2 * 3
    assert (table["sd"] > 0).all()
    assert set(table["component_id"]) == set(model.component_ids)


class TestFading:
    """`window.half_life`: a row counts 2^(-age / half_life) times, age in days to the as-of key."""

    def test_the_window_mixture_has_the_moments_of_the_rows_so_weighted(self, at):
        stream = declared(half_life=2.0)
        days = [KEYS[0], KEYS[1], KEYS[4]]  # a gap: the age counts days, not blocks
        for key in days:
            run_day(stream, key, at)
        version, model = newest(stream, KEYS[4], at)
        rows = [
            np.column_stack([np.log(r.price), np.log1p(r.delay), r.rating])
            for r in (ROWS[key] for key in days)
        ]
        weights = [2.0 ** (-age / 2.0) for age in (4, 3, 0)]
        exact = Moments.of(np.vstack(rows), np.repeat(weights, [len(r) for r in rows]))
        blocks = [at.store.summary(stream.name, key) for key in days]
        added = np.average([b.regularisation for b in blocks], axis=0, weights=weights)
        np.testing.assert_allclose(model.mixture.mean(), exact.mean, rtol=1e-9)
        np.testing.assert_allclose(
            model.mixture.covariance() - np.diag(added), exact.covariance, rtol=1e-7, atol=1e-9
        )
        assert version.tags["rows"] == "1200"
        assert float(version.tags["effective_rows"]) == pytest.approx(400 * sum(weights), rel=1e-9)

    def test_another_half_life_is_another_version_of_the_same_blocks(self, at):
        for key in KEYS[:3]:
            run_day(declared(), key, at)
        plain, _ = newest(declared(), KEYS[2], at)
        for half_life in (1.0, 3.0):
            assert merge(declared(half_life=half_life), KEYS[2], at).changed
            assert not merge(declared(half_life=half_life), KEYS[2], at).changed
            version, _ = newest(declared(), KEYS[2], at)
            assert version.tags["block_set_hash"] == plain.tags["block_set_hash"]
            assert version.tags["settings"] != plain.tags["settings"]
        assert float(plain.tags["effective_rows"]) == 1200
        assert merge(declared(), KEYS[2], at).facts["version"] == plain.version

    def test_old_rows_can_fade_to_nothing(self, at):
        stream = declared(half_life=0.01)
        for key in KEYS[:2]:
            run_day(stream, key, at)
        block = at.store.summary(stream.name, KEYS[1])
        version, model = newest(stream, KEYS[1], at)
        np.testing.assert_allclose(model.mixture.mean(), block.mixture.mean(), rtol=1e-12)
        assert (version.tags["blocks"], version.tags["effective_rows"]) == ("2", "400")
