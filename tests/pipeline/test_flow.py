"""The whole flow through the five verbs, in memory: no service, the real numerics."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pytest
from orders import KEYS, make_rows, run_day

from gmm_core.errors import (
    ComputationFailed,
    InvalidInput,
    ModelRefused,
    NotFound,
)
from gmm_core.moments import Moments
from gmm_core.pipeline.memory import memory_services
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


def test_what_is_written_beside_the_scores_can_change(stream, at):
    """Another choice writes the rows again, and makes no other version of the model."""
    for key in KEYS[:3]:
        run_day(stream, key, at)
    scoring = stream.scoring.model_copy(update={"also": ("explanation",)})
    explained = stream.model_copy(update={"scoring": scoring})
    assert run_day(explained, KEYS[2], at) == [False] * 4 + [True]
    rows = at.engine.read(at.store.path(stream.name, "transformed", KEYS[2]))
    assert rows["explanation"].str.startswith("component ").all()
    assert not transform(explained, KEYS[2], at).changed
    assert transform(stream, KEYS[2], at).changed


def test_transform_pins_the_version_it_is_given(stream, at):
    for key in KEYS[:2]:
        run_day(stream, key, at)
    assert transform(stream, KEYS[1], at, version=1).facts["version"] == 1
    assert transform(stream, KEYS[1], at).facts["version"] == 2


def test_a_window_needs_its_minimum_of_blocks(declared, at):
    declared["window"] = {"blocks": 4, "minimum_blocks": 2}
    careful = Stream.model_validate(declared)
    land(careful, KEYS[0], at)
    fit(careful, KEYS[0], at)
    with pytest.raises(ModelRefused, match="at least 2"):
        merge(careful, KEYS[0], at)


def test_a_window_ends_with_a_block_that_is_there(stream, at):
    run_day(stream, KEYS[0], at)
    for verb in (merge, promote):
        with pytest.raises(NotFound, match=f"blockmix fit orders {KEYS[3]}"):
            verb(stream, KEYS[3], at)
    assert at.store.manifest(stream.name, "components", KEYS[3]) is None


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
