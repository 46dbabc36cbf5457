"""Release: a person takes a block out of quarantine; what follows is as for any other."""

from __future__ import annotations

import pytest
from orders import KEYS, make_rows, run_day

from gmm_core.errors import BlockQuarantined, InvalidInput, NotFound, OutputRefused
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land, merge, promote, release, transform

WORD = {"why": "a real sale day", "by": "ann"}


@pytest.fixture
def declared(declared):
    return {**declared, "mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}


def refuse_rows(stream, at, key=KEYS[1]):
    odd = make_rows(key)
    odd.loc[:3, "price"] = 20_000.0
    at.engine.blocks[key] = odd
    with pytest.raises(BlockQuarantined, match="blockmix release orders"):
        land(stream, key, at)
    return odd


def test_released_rows_go_all_the_way(stream, at):
    run_day(stream, KEYS[0], at)
    odd = refuse_rows(stream, at)
    outcome = release(stream, KEYS[1], at, **WORD)
    assert outcome.changed
    assert "price: in range" in outcome.facts["reason"]
    assert at.store.quarantined("orders") == {}
    landed = at.store.manifest("orders", "landed", KEYS[1])
    assert landed["released"]["by"] == "ann"
    assert [one["by"] for one in landed["released"]["said"]] == ["ann"]
    assert landed["rows"] == len(odd)
    assert run_day(stream, KEYS[1], at) == [False, True, True, True, True]
    assert at.registry.alias("orders", "champion").tags["blocks"] == "2"


def test_the_word_is_kept_with_the_entry(stream, at):
    refuse_rows(stream, at)
    release(stream, KEYS[1], at, **WORD)
    [path] = at.store._reports("orders", KEYS[1])
    entry = at.store._files.read_json(path)
    assert entry["released"]["why"] == WORD["why"]
    assert entry["repaired"]
    with pytest.raises(NotFound, match="no block"):
        release(stream, KEYS[1], at, **WORD)


def test_a_repaired_source_takes_the_place_of_released_rows(stream, at):
    refuse_rows(stream, at)
    release(stream, KEYS[1], at, **WORD)
    fit(stream, KEYS[1], at)
    at.engine.blocks[KEYS[1]] = make_rows(KEYS[1])
    assert run_day(stream, KEYS[1], at) == [True] * 5
    assert "released" not in at.store.manifest("orders", "landed", KEYS[1])


def test_a_fit_is_released_past_its_gate_and_no_other(declared, at):
    strict = Stream.model_validate({**declared, "gates": {"maximum_weight": 0.3}})
    land(strict, KEYS[0], at)
    with pytest.raises(BlockQuarantined, match="largest_weight"):
        fit(strict, KEYS[0], at)
    assert at.store.summary("orders", KEYS[0]) is None
    release(strict, KEYS[0], at, **WORD)
    assert fit(strict, KEYS[0], at).changed
    assert at.store.quarantined("orders") == {}
    assert not fit(strict, KEYS[0], at).changed


def test_released_rows_still_pass_the_fit_gate(declared, at):
    strict = Stream.model_validate({**declared, "gates": {"maximum_weight": 0.3}})
    refuse_rows(strict, at)
    release(strict, KEYS[1], at, **WORD)
    with pytest.raises(BlockQuarantined, match="largest_weight"):
        fit(strict, KEYS[1], at)
    release(strict, KEYS[1], at, **WORD)
    assert fit(strict, KEYS[1], at).changed


def test_scored_rows_are_released(declared, at):
    strict = Stream.model_validate(
        {**declared, "gates": {"normalised_bound": 0.1, "normalised_share": 1.0}}
    )
    for verb in (land, fit, merge, promote):
        verb(strict, KEYS[0], at)
    with pytest.raises(OutputRefused, match="normalised bounded"):
        transform(strict, KEYS[0], at)
    release(strict, KEYS[0], at, **WORD)
    rows = at.engine.read(at.store.path("orders", "transformed", KEYS[0]))
    assert len(rows) == 400
    assert transform(strict, KEYS[0], at).facts["version"] == 1
    assert at.store.quarantined("orders") == {}


def test_what_no_fit_succeeded_on_stays(stream, at):
    at.engine.blocks[KEYS[0]] = make_rows(KEYS[0]).head(2).sample(400, replace=True, random_state=0)
    land(stream, KEYS[0], at)
    with pytest.raises(BlockQuarantined):
        fit(stream, KEYS[0], at)
    with pytest.raises(InvalidInput, match="no fit of them"):
        release(stream, KEYS[0], at, **WORD)
    assert KEYS[0] in at.store.quarantined("orders")


def test_rows_of_other_rules_stay(declared, stream, at):
    refuse_rows(stream, at)
    other = Stream.model_validate({**declared, "gates": {"in_range": 0.5}})
    with pytest.raises(InvalidInput, match="other features or gates"):
        release(other, KEYS[1], at, **WORD)


@pytest.mark.parametrize("word", [{"why": "", "by": "ann"}, {"why": "x", "by": " "}])
def test_reason_and_person_must_be_said(stream, at, word):
    refuse_rows(stream, at)
    with pytest.raises(InvalidInput, match="must be said"):
        release(stream, KEYS[1], at, **word)
