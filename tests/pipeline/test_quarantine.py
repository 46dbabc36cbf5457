"""What a gate refuses: kept with its reason, in nobody's way, gone from the list once repaired."""

from __future__ import annotations

import pandas as pd
import pytest
from orders import KEYS, make_rows, run_day

from gmm_core.errors import (
    BlockQuarantined,
    InvalidInput,
    NotFound,
    OutputRefused,
)
from gmm_core.pipeline.memory import MemoryServices
from gmm_core.pipeline.ports import Check, GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import (
    CHAMPION,
    fit,
    land,
    merge,
    promote,
    transform,
)


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
