"""What a gate refuses: kept with its reason, in nobody's way, gone from the list once repaired."""

from __future__ import annotations

import pandas as pd
import pytest
from orders import KEYS, make_rows, run_day

from gmm_core.errors import (
    BlockQuarantined,
    ComputationFailed,
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
    release,
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


def test_a_tightened_rows_gate_asks_for_the_rows_again(stream, declared, at):
    run_day(stream, KEYS[0], at)
    strict = Stream.model_validate({**declared, "gates": {"minimum_rows": 100}})
    with pytest.raises(InvalidInput, match="blockmix land orders"):
        fit(strict, KEYS[0], at)
    assert land(strict, KEYS[0], at).changed
    assert fit(strict, KEYS[0], at).changed


def test_a_tightened_fit_gate_judges_what_is_there_again(stream, declared, at):
    """Without landing it; and rows that were accepted stay, though the gate would not take them now."""
    run_day(stream, KEYS[0], at)
    strict = Stream.model_validate({**declared, "gates": {"maximum_weight": 0.1}})
    for _ in range(2):
        with pytest.raises(BlockQuarantined, match="weight"):
            fit(strict, KEYS[0], at)
        assert not land(strict, KEYS[0], at).changed
        assert KEYS[0] in at.store.quarantined(stream.name), "landing it again repairs nothing"
    assert not fit(stream, KEYS[0], at).changed
    assert not transform(stream, KEYS[0], at).changed
    land(stream, KEYS[0], at)
    assert at.store.quarantined(stream.name) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"gates": {"normalised_bound": 5.0, "normalised_share": 0.5}},
        {"features": {"price": {"unit": "euros"}}},
    ],
    ids=["output gate", "unit"],
)
def test_what_is_no_rule_of_rows_or_fits_asks_for_neither_again(stream, declared, at, change):
    for verb in (land, fit):
        verb(stream, KEYS[0], at)
    features = {
        name: {**feature, **change.get("features", {}).get(name, {})}
        for name, feature in declared["features"].items()
    }
    other = Stream.model_validate({**declared, **change, "features": features})
    assert not land(other, KEYS[0], at).changed
    assert not fit(other, KEYS[0], at).changed


def test_a_release_outlives_what_is_no_rule_of_rows(stream, declared, at):
    bad = make_rows(KEYS[0])
    bad.loc[0, "price"] = 20_000.0
    at.engine.blocks[KEYS[0]] = bad
    with pytest.raises(BlockQuarantined):
        land(stream, KEYS[0], at)
    other = Stream.model_validate({**declared, "gates": {"normalised_bound": 5.0}})
    assert release(other, KEYS[0], at, why="looked at it", by="ann").changed


@pytest.mark.parametrize("harm", ["lost", "cut"])
def test_rows_that_went_away_are_not_fitted_and_landing_repairs_them(stream, at, harm):
    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[0], at)
    file = f"{at.store._files.strip(at.store.path(stream.name, 'landed', KEYS[0]))}/part-0.parquet"
    if harm == "lost":
        at.store._files.remove(file)
    else:
        at.engine._write(make_rows(KEYS[0]).head(60), at.store.path(stream.name, "landed", KEYS[0]))
    for verb in (fit, transform):
        with pytest.raises(ComputationFailed, match="blockmix land orders"):
            verb(stream, KEYS[0], at)
    assert at.store.quarantined(stream.name) == {}, "nobody delivered anything bad"
    assert land(stream, KEYS[0], at).changed
    assert not fit(stream, KEYS[0], at).changed
    assert transform(stream, KEYS[0], at).changed


def test_a_fit_of_fewer_rows_than_landed_is_none(stream, at):
    land(stream, KEYS[0], at)
    whole = at.engine.fit

    def half(stream, key, rows, digest):
        at.engine.read = lambda path: make_rows(key).head(200)
        return whole(stream, key, rows, digest)

    at.engine.fit = half
    with pytest.raises(ComputationFailed, match="200"):
        fit(stream, KEYS[0], at)
    assert at.store.summary(stream.name, KEYS[0]) is None


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
