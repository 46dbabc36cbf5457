"""The whole flow through the five verbs, in memory: no service, the real numerics."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from orders import KEYS, make_rows

from gmm_core.errors import (
    BlockQuarantined,
    ComputationFailed,
    InvalidInput,
    ModelRefused,
    NotFound,
    OutputRefused,
)
from gmm_core.moments import Moments
from gmm_core.pipeline.memory import MemoryServices, memory_services
from gmm_core.pipeline.ports import Check, GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    fit,
    land,
    merge,
    promote,
    transform,
)


@pytest.fixture
def at() -> MemoryServices:
    return memory_services({key: make_rows(key) for key in KEYS})


def run_day(stream: Stream, key: str, at: MemoryServices) -> list[bool]:
    return [verb(stream, key, at).changed for verb in (land, fit, merge, promote, transform)]


def test_every_day_goes_through(stream, at):
    for key in KEYS:
        assert run_day(stream, key, at) == [True] * 5
    champion = at.registry.alias(stream.name, CHAMPION)
    assert champion.version == len(KEYS)
    assert champion.tags["first_block"] == KEYS[-4]
    assert champion.tags["last_block"] == KEYS[-1]
    assert champion.tags["blocks"] == "4"
    assert champion.tags["rows"] == "1600"
    assert at.registry.alias(stream.name, CHALLENGER).version == len(KEYS)
    assert at.registry.alias(stream.name, PREVIOUS).version == len(KEYS) - 1
    assert {"code_version", "input_digest", "block_set_hash"} <= champion.tags.keys()


def test_a_finished_day_run_again_changes_nothing(stream, at):
    for key in KEYS[:3]:
        run_day(stream, key, at)
    before = at.store.summary(stream.name, KEYS[2]).digest
    assert run_day(stream, KEYS[2], at) == [False] * 5
    assert at.store.summary(stream.name, KEYS[2]).digest == before
    assert at.registry.alias(stream.name, CHAMPION).version == 3


def test_the_window_mixture_has_the_moments_of_the_windows_rows(stream, at):
    for key in KEYS[:6]:
        run_day(stream, key, at)
    champion = at.registry.alias(stream.name, CHAMPION)
    mixture = at.registry.load(stream.name, champion.version).mixture
    blocks = [at.store.summary(stream.name, key) for key in KEYS[2:6]]
    rows = np.vstack(
        [
            np.column_stack([np.log(r.price), np.log1p(r.delay), r.rating])
            for r in (make_rows(key) for key in KEYS[2:6])
        ]
    )
    exact = Moments.of(rows)
    regularisation = np.mean([block.regularisation for block in blocks], axis=0)
    np.testing.assert_allclose(mixture.mean(), exact.mean, rtol=1e-9)
    np.testing.assert_allclose(
        mixture.covariance() - np.diag(regularisation), exact.covariance, rtol=1e-7, atol=1e-9
    )


def test_the_order_of_arrival_does_not_matter(stream):
    hashes = []
    for order in (KEYS[:4], KEYS[3::-1]):
        at = memory_services({key: make_rows(key) for key in KEYS})
        for key in order:
            land(stream, key, at)
            fit(stream, key, at)
        merge(stream, KEYS[3], at)
        hashes.append(at.registry.load(stream.name, 1).mixture.content_hash())
    assert hashes[0] == hashes[1]


def test_a_bad_day_is_quarantined_and_the_window_goes_on(stream, at):
    run_day(stream, KEYS[0], at)
    spoiled = make_rows(KEYS[1])
    spoiled["price"] *= 1e6
    at.engine.blocks[KEYS[1]] = spoiled
    with pytest.raises(BlockQuarantined, match="price: in range"):
        land(stream, KEYS[1], at)
    with pytest.raises(NotFound, match="has not landed"):
        fit(stream, KEYS[1], at)
    entry = at.store.quarantined(stream.name)[KEYS[1]]
    assert "price" in entry["reason"]
    kept = at.engine.read(
        f"{at.store.path(stream.name, 'quarantine', KEYS[1])}/{entry['digest']}/rows"
    )
    assert len(kept) == len(spoiled)
    run_day(stream, KEYS[2], at)
    assert at.registry.alias(stream.name, CHAMPION).tags["blocks"] == "2"


def test_a_repaired_source_repairs_the_block(stream, at):
    good = at.engine.blocks[KEYS[1]]
    at.engine.blocks[KEYS[1]] = good.head(10)
    with pytest.raises(BlockQuarantined, match="rows"):
        land(stream, KEYS[1], at)
    at.engine.blocks[KEYS[1]] = good
    assert run_day(stream, KEYS[1], at) == [True] * 5
    assert at.store.quarantined(stream.name) == {}


def test_a_bad_delivery_does_not_destroy_a_good_one(stream, at):
    run_day(stream, KEYS[0], at)
    digest = at.store.summary(stream.name, KEYS[0]).digest
    at.engine.blocks[KEYS[0]] = make_rows(KEYS[0]).head(5)
    with pytest.raises(BlockQuarantined):
        land(stream, KEYS[0], at)
    assert at.store.summary(stream.name, KEYS[0]).digest == digest
    assert len(at.engine.read(at.store.path(stream.name, "landed", KEYS[0]))) == 400


def few_values(key: str) -> pd.DataFrame:
    """Rows that pass the rows gate and cannot be fitted: two different ones."""
    return make_rows(key).head(2).sample(400, replace=True, random_state=0)


def test_a_delivery_that_cannot_be_fitted_gives_way_to_the_one_before(stream, at):
    run_day(stream, KEYS[0], at)
    good = at.store.summary(stream.name, KEYS[0]).digest
    at.engine.blocks[KEYS[0]] = few_values(KEYS[0])
    land(stream, KEYS[0], at)
    with pytest.raises(BlockQuarantined, match="distinct"):
        fit(stream, KEYS[0], at)
    assert at.store.summary(stream.name, KEYS[0]).digest == good
    assert at.engine.read(at.store.path(stream.name, "landed", KEYS[0])).equals(make_rows(KEYS[0]))
    assert not fit(stream, KEYS[0], at).changed
    assert not transform(stream, KEYS[0], at).changed
    entry = at.store.quarantined(stream.name)[KEYS[0]]
    where = at.store.path(stream.name, "quarantine", KEYS[0])
    assert len(at.engine.read(f"{where}/{entry['digest']}/rows")) == 400
    at.engine.blocks[KEYS[0]] = make_rows(KEYS[0])
    land(stream, KEYS[0], at)
    assert at.store.quarantined(stream.name) == {}, "the source delivers the good rows again"


def test_two_deliveries_without_a_fit_keep_the_one_that_was_fitted(stream, at):
    run_day(stream, KEYS[0], at)
    for rows in (make_rows(KEYS[0], seed=7), few_values(KEYS[0])):
        at.engine.blocks[KEYS[0]] = rows
        land(stream, KEYS[0], at)
    with pytest.raises(BlockQuarantined):
        fit(stream, KEYS[0], at)
    assert at.engine.read(at.store.path(stream.name, "landed", KEYS[0])).equals(make_rows(KEYS[0]))


def test_a_quarantine_is_closed_by_a_repair_and_by_nothing_else(stream, at):
    run_day(stream, KEYS[0], at)
    at.engine.blocks[KEYS[0]] = make_rows(KEYS[0]).head(5)
    with pytest.raises(BlockQuarantined):
        land(stream, KEYS[0], at)
    assert not fit(stream, KEYS[0], at).changed
    assert KEYS[0] in at.store.quarantined(stream.name), "the source is as bad as it was"
    at.engine.blocks[KEYS[0]] = make_rows(KEYS[0])
    assert not land(stream, KEYS[0], at).changed
    assert at.store.quarantined(stream.name) == {}


def test_a_tightened_gate_judges_what_is_there_again(declared, at):
    stream = Stream.model_validate(declared)
    run_day(stream, KEYS[0], at)
    strict = Stream.model_validate({**declared, "gates": {"maximum_weight": 0.1}})
    with pytest.raises(InvalidInput, match="blockmix land orders"):
        fit(strict, KEYS[0], at)
    land(strict, KEYS[0], at)
    with pytest.raises(BlockQuarantined, match="weight"):
        fit(strict, KEYS[0], at)


def test_another_threshold_gives_another_version(declared, at):
    run_day(Stream.model_validate(declared), KEYS[0], at)
    other = Stream.model_validate({**declared, "scoring": {"anomaly_above": 0.9}})
    assert run_day(other, KEYS[0], at) == [False, False, True, True, True]
    assert at.registry.load(other.name, 2).anomaly_above == 0.9


def test_a_merge_that_died_half_way_is_finished_by_the_next(stream, at, monkeypatch):
    run_day(stream, KEYS[0], at)
    for verb in (land, fit):
        verb(stream, KEYS[1], at)

    def die(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(at.store, "save_components", die)
        with pytest.raises(OSError, match="no space"):
            merge(stream, KEYS[1], at)
    assert at.registry.alias(stream.name, CHALLENGER).version == 1
    assert merge(stream, KEYS[1], at).changed
    assert at.registry.alias(stream.name, CHALLENGER).version == 2
    assert at.store.manifest(stream.name, "components", KEYS[1]) == {"version": 2}
    assert not merge(stream, KEYS[1], at).changed


def test_going_back_to_an_earlier_delivery_goes_back_everywhere(stream, at):
    run_day(stream, KEYS[0], at)
    for seed in (99, None):
        rows = make_rows(KEYS[0]) if seed is None else make_rows(KEYS[0], seed=seed)
        at.engine.blocks[KEYS[0]] = rows
        assert run_day(stream, KEYS[0], at) == [True] * 5
    for alias in (CHAMPION, CHALLENGER):
        assert at.registry.alias(stream.name, alias).version == 1
    assert at.store.manifest(stream.name, "components", KEYS[0]) == {"version": 1}


def test_an_older_version_of_the_same_window_is_held(stream, at):
    for key in (KEYS[0], KEYS[2]):
        run_day(stream, key, at)
    stale = at.registry.alias(stream.name, CHAMPION).version
    for verb in (land, fit):
        verb(stream, KEYS[1], at)
    late = merge(stream, KEYS[2], at).facts["version"]
    assert promote(stream, KEYS[2], at, version=late).changed
    outcome = promote(stream, KEYS[2], at, version=stale)
    assert not outcome.changed
    assert "newer mixture of the same window" in outcome.facts["decision"]


def test_rows_must_not_get_lost_in_the_transform(stream, at, monkeypatch):
    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[0], at)
    whole = at.engine.transform

    def lossy(*arguments):
        return dataclasses.replace(whole(*arguments), rows=399)

    monkeypatch.setattr(at.engine, "transform", lossy)
    with pytest.raises(ComputationFailed, match="got 399; allowed: 400"):
        transform(stream, KEYS[0], at)
    assert at.store.manifest(stream.name, "transformed", KEYS[0]) is None


def test_a_day_that_is_not_over_is_no_block(stream, at):
    with pytest.raises(InvalidInput, match="no such block"):
        land(stream, dt.datetime.now(dt.UTC).date().isoformat(), at)


def test_a_fit_that_fails_is_quarantined(stream, at):
    constant = make_rows(KEYS[0])
    constant["rating"] = 1.0
    at.engine.blocks[KEYS[0]] = constant
    land(stream, KEYS[0], at)
    with pytest.raises(BlockQuarantined, match="rating"):
        fit(stream, KEYS[0], at)
    assert at.store.manifest(stream.name, "landed", KEYS[0]) is None
    assert at.store.quarantined(stream.name)[KEYS[0]]["gate"] == "fit"


def test_the_fit_gate_refuses_a_dominating_component(declared, at):
    declared["gates"] = {"maximum_weight": 0.1}
    strict = Stream.model_validate(declared)
    land(strict, KEYS[0], at)
    with pytest.raises(BlockQuarantined, match="weight"):
        fit(strict, KEYS[0], at)
    assert at.store.summary_keys(strict.name) == []


def test_a_replaced_block_gives_a_new_version(stream, at):
    for key in KEYS[:2]:
        run_day(stream, key, at)
    at.engine.blocks[KEYS[1]] = make_rows(KEYS[1], seed=99)
    assert run_day(stream, KEYS[1], at) == [True] * 5
    assert at.registry.alias(stream.name, CHAMPION).version == 3


def test_filling_in_the_past_does_not_move_the_champion_back(stream, at):
    run_day(stream, KEYS[5], at)
    for verb in (land, fit, merge):
        verb(stream, KEYS[1], at)
    outcome = promote(stream, KEYS[1], at)
    assert not outcome.changed
    assert "held" in outcome.facts["decision"]
    assert at.registry.alias(stream.name, CHAMPION).tags["last_block"] == KEYS[5]


def test_other_settings_give_another_fit_and_another_version(stream, at):
    run_day(stream, KEYS[0], at)
    assert run_day(stream.with_overrides(k=2), KEYS[0], at)[:4] == [False, True, True, True]
    assert at.registry.load(stream.name, 2).mixture.n_components == 2


@pytest.mark.parametrize("order", [("full", "diag"), ("diag", "full")])
def test_a_window_may_hold_blocks_of_both_covariance_types(stream, at, order):
    for key, kind in zip(KEYS, order, strict=False):
        run_day(stream.with_overrides(covariance_type=kind), key, at)
    champion = at.registry.alias(stream.name, CHAMPION)
    assert champion.tags["blocks"] == "2"
    mixture = at.registry.load(stream.name, champion.version).mixture
    assert mixture.covariance_type == order[1]
    rows = np.vstack([np.log(make_rows(key).price) for key in KEYS[:2]]).ravel()
    blocks = [at.store.summary(stream.name, key) for key in KEYS[:2]]
    added = np.mean([block.regularisation[0] for block in blocks])
    assert mixture.covariance()[0, 0] - added == pytest.approx(rows.var(), rel=1e-9)


def test_transform_restores_the_source_values(stream, at):
    run_day(stream, KEYS[0], at)
    out = at.engine.read(at.store.path(stream.name, "transformed", KEYS[0]))
    model = at.registry.load(stream.name, 1)
    columns = {c: out[c].to_numpy() for c in out if c.endswith("_normalised") or c == "component"}
    for name, values in model.restore(columns).items():
        np.testing.assert_allclose(values, make_rows(KEYS[0])[name], rtol=1e-9)
    assert (out["model_version"] == 1).all()
    assert (out["block_key"] == KEYS[0]).all()


def test_transform_pins_the_version_it_is_given(stream, at):
    for key in KEYS[:2]:
        run_day(stream, key, at)
    assert transform(stream, KEYS[1], at, version=1).facts["version"] == 1
    assert transform(stream, KEYS[1], at).facts["version"] == 2


def test_refused_output_is_kept_aside(stream, at):
    class NoGate:
        def __getattr__(self, name):
            return getattr(at.gate, name)

        def check_transformed(self, *_):
            return GateReport("transformed", (Check("round trip", False, "1", "0"),))

    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[0], at)
    strict = MemoryServices(at.engine, at.store, at.registry, NoGate())
    with pytest.raises(OutputRefused, match="round trip"):
        transform(stream, KEYS[0], strict)
    assert at.store.manifest(stream.name, "transformed", KEYS[0]) is None
    assert KEYS[0] in at.store.quarantined(stream.name)
    transform(stream, KEYS[0], at)
    assert at.store.quarantined(stream.name) == {}


def test_a_window_needs_its_minimum_of_blocks(declared, at):
    declared["window"] = {"blocks": 4, "minimum_blocks": 2}
    careful = Stream.model_validate(declared)
    land(careful, KEYS[0], at)
    fit(careful, KEYS[0], at)
    with pytest.raises(ModelRefused, match="at least 2"):
        merge(careful, KEYS[0], at)


def test_errors_say_what_to_run(stream, at):
    with pytest.raises(NotFound, match=f"blockmix land orders {KEYS[0]}"):
        fit(stream, KEYS[0], at)
    land(stream, KEYS[0], at)
    with pytest.raises(NotFound, match="promote"):
        transform(stream, KEYS[0], at)
    fit(stream, KEYS[0], at)
    with pytest.raises(NotFound, match=f"blockmix merge orders {KEYS[0]}"):
        promote(stream, KEYS[0], at)


@pytest.mark.parametrize("key", ["2024-04-30", "2024-5-1", "../2024-05-01"])
def test_a_key_outside_the_stream_is_refused(stream, at, key):
    with pytest.raises(InvalidInput):
        land(stream, key, at)
