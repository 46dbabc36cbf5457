"""The whole flow through the five verbs, in memory: no service, the real numerics."""

from __future__ import annotations

import numpy as np
import pytest
from orders import KEYS, make_rows

from gmm_core.errors import BlockQuarantined, InvalidInput, ModelRefused, NotFound, OutputRefused
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
