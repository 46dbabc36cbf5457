"""Measures and drift as the verbs keep them: what is stored, when the alarm goes up, what it sets off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from orders import KEYS, copy_of, declaration, make_rows, run_day

from gmm_core.errors import NotFound, OutputRefused
from gmm_core.health.catalogue import CATALOGUE
from gmm_core.health.findings import measure_of
from gmm_core.pipeline.drifting import BASELINE
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.ports import Check
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import (
    drift_report,
    fit,
    land,
    merge,
    promote,
    react,
    release,
    transform,
)

SMALL = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 4}}
BOUNDS = {"drift": {"enter": 5.0, "leave": 2.5, "patience": 2}}


def moved(key):
    rows = make_rows(key, n=250)
    rows["rating"] += 6.0
    return rows


def stream_of(**changes):
    return Stream.model_validate(declaration(**SMALL, **BOUNDS, **changes))


@pytest.fixture(scope="module")
def seven():
    """Five days as usual and two with a moved feature, the second not promoted: the alarm is up."""
    blocks = {k: make_rows(k, n=250) if k < KEYS[5] else moved(k) for k in KEYS}
    at, stream = memory_services(blocks), stream_of()
    for key in KEYS[:5]:
        run_day(stream, key, at)
    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[5], at)
    with pytest.raises(OutputRefused, match="rating: mean plausible"):
        transform(stream, KEYS[5], at)
    release(stream, KEYS[5], at, why="it has moved", by="tester")
    transform(stream, KEYS[5], at)
    for verb in (land, fit, merge):
        verb(stream, KEYS[6], at)
    return at


@pytest.fixture
def alarmed(seven):
    return copy_of(seven)


@pytest.fixture(scope="module")
def drifted(seven):
    """Five days as usual, five with a moved feature."""
    at = copy_of(seven)
    for key in KEYS[6:]:
        run_day(stream_of(), key, at)
    return at


def record(at, key):
    return at.store.manifest("orders", "drift", key)


def table(at, key):
    folder = at.store._block("orders", "metrics", key)
    frames = []
    for path in at.store._files.system.find(folder):
        with at.store._files.system.open(path, "rb") as file:
            frames.append(pd.read_parquet(file))
    return pd.concat(frames)


def test_the_alarm_goes_up_with_the_second_day_and_says_what_moved(drifted):
    ups = [any(a["up"] for a in record(drifted, key)["alarms"].values()) for key in KEYS]
    assert ups[:6] == [False] * 6
    assert ups[6] is True
    assert record(drifted, KEYS[6])["changed"]
    words = " ".join(record(drifted, KEYS[5])["words"])
    assert "rating went up by" in words
    assert "delay" not in words


def test_the_window_gets_used_to_it_and_the_baseline_does_not(drifted):
    last = record(drifted, KEYS[9])
    assert last["values"]["window_drift_score"] < 2.5 < 5 < last["values"]["baseline_drift_score"]
    assert last["alarms"]["baseline"]["up"]
    assert drifted.registry.notes("orders")[BASELINE] == KEYS[3]


def test_a_drop_of_likelihood_is_an_alarm_when_it_lasts(drifted):
    rows = {key: table(drifted, key).set_index("metric")["value"] for key in KEYS[1:]}
    ups = [bool(rows[key]["likelihood_alarm"]) for key in KEYS[1:]]
    over = [rows[key]["log_likelihood_drift"] > 0.1 for key in KEYS[1:]]
    assert over[:6] == [False] * 4 + [True, True]
    assert ups[:6] == [False] * 5 + [True]


def test_a_drift_is_reported_as_a_verb_answers(drifted):
    facts = drift_report(stream_of(), KEYS[5], drifted).facts
    assert facts["window_drift_score"] > 5
    assert "rating" in facts["moved"]


def test_a_day_that_was_never_fitted_is_no_day_without_drift(drifted):
    for verb in (drift_report, react):
        with pytest.raises(
            NotFound, match=r"block 2030-01-01 of orders has no mixture\. Run: blockmix fit"
        ):
            verb(stream_of(), "2030-01-01", drifted)


def test_the_table_has_every_stage_with_thresholds(drifted):
    found = table(drifted, KEYS[5])
    assert set(found["stage"]) == {"fit", "merge", "drift", "transform"}
    assert {measure_of(name) for name in found["metric"]} <= set(CATALOGUE)
    assert (found["stream"] == "orders").all()
    assert (found["block_key"] == KEYS[5]).all()
    assert found.loc[found["stage"] == "fit", "model_version"].isna().all()
    assert (found.loc[found["stage"] != "fit", "model_version"] == 6).all()
    assert np.isfinite(found["value"]).all()
    judged = found[found["at_least"].notna() | found["at_most"].notna()]
    assert judged["ok"].notna().all()
    drift = judged.set_index("metric")["ok"]
    assert not drift["window_drift_score"]
    assert not drift["log_likelihood_drift"]
    assert drift["loads_back"]


def test_the_same_measures_are_metrics_of_the_version(drifted):
    found = table(drifted, KEYS[5])
    kept = drifted.registry.metrics["orders", 6]
    mine = found[found["model_version"] == 6].set_index("metric")["value"]
    assert {name: kept[name] for name in mine.index}.keys() == set(mine.index)
    for name, value in mine.items():
        assert value in kept[name].values()


def test_an_unseen_day_is_scored_by_the_version_before(drifted):
    found = table(drifted, KEYS[4]).set_index("metric")["value"]
    rows = make_rows(KEYS[4], n=250)
    for name, version in (("seen_log_likelihood", 5), ("next_day_log_likelihood", 4)):
        model = drifted.registry.load("orders", version)
        columns = {feature: rows[feature].to_numpy() for feature in model.feature_names}
        exact = model.output(columns, "log_prob")["log_prob"].mean()
        assert found[name] == pytest.approx(exact, rel=1e-9)
    assert found["train_next_day_gap"] > 0
    assert found["calibration_error"] < 0.15


def test_looked_at_again_nothing_changes(drifted, monkeypatch):
    before = record(drifted, KEYS[6])

    def no_job(*_):
        raise AssertionError("scored again")

    monkeypatch.setattr(drifted.engine, "score", no_job)
    assert run_day(stream_of(), KEYS[9], drifted) == [False] * 5
    assert record(drifted, KEYS[6]) == before


def test_labels_give_precision_and_recall(declared):
    rows = make_rows(KEYS[1], n=300)
    rows["fraud"] = 0
    rows.loc[:9, "rating"] += 6.0
    rows.loc[:7, "fraud"] = 1
    source = {**declared["source"], "columns": {**declared["source"]["columns"], "fraud": "fraud"}}
    stream = Stream.model_validate(
        {**declared, **SMALL, "source": source, "health": {"label": "fraud"},
         "gates": {"normalised_share": 0.5}, "scoring": {"anomaly_above": 0.99}}
    )  # fmt: skip
    at = memory_services({KEYS[0]: make_rows(KEYS[0], n=300).assign(fraud=0), KEYS[1]: rows})
    for verb in (land, fit, merge, promote, transform):
        verb(stream, KEYS[0], at)
    for verb in (land, fit, merge):
        verb(stream, KEYS[1], at)
    transform(stream, KEYS[1], at, version=1)
    found = table(at, KEYS[1]).set_index("metric")["value"]
    assert found["anomaly_recall"] == 1
    assert found["anomaly_precision"] == 8 / round(found["anomaly_share"] * 300)
    assert found["false_positive_rate"] < 0.1


@pytest.mark.parametrize("action", ["shorter_window", "wider_k", "new_baseline"])
def test_an_alarm_sets_off_what_the_stream_asks_for_once(alarmed, action):
    stream = stream_of(triggers={"on_drift": action, "window": 2, "more_k": 1})
    assert react(stream, KEYS[5], alarmed).facts["decision"] == "no alarm went up"
    outcome = react(stream, KEYS[6], alarmed)
    assert outcome.changed
    if action == "new_baseline":
        assert alarmed.registry.notes("orders")[BASELINE] == KEYS[6]
    else:
        made = alarmed.registry.version("orders", outcome.facts["version"])
        assert made.tags["blocks"] == ("2" if action == "shorter_window" else "4")
        model = alarmed.registry.load("orders", made.version)
        assert model.mixture.n_components == (3 if action == "wider_k" else 2)
    assert react(stream, KEYS[6], alarmed).facts["decision"] == "done before"
    promoted = promote(stream, KEYS[6], alarmed, 7)
    if action == "new_baseline":
        assert promoted.changed
    else:
        assert outcome.facts["promotion"] == "promoted"
        assert "made for the drift" in promoted.facts["decision"]
        assert promoted.facts["serves"] == outcome.facts["version"]


@pytest.mark.parametrize("action", ["shorter_window", "wider_k"])
def test_what_an_alarm_set_off_leaves_the_drift_as_it_was(alarmed, action):
    stream = stream_of(triggers={"on_drift": action, "window": 2, "more_k": 1})
    before = record(alarmed, KEYS[6])
    react(stream, KEYS[6], alarmed)
    merge(stream.with_overrides(window=2), KEYS[6], alarmed)
    assert record(alarmed, KEYS[6]) == before
    challenger = alarmed.registry.alias("orders", "challenger").version
    again = merge(stream, KEYS[6], alarmed)
    assert record(alarmed, KEYS[6]) == before
    assert again.facts["version"] == 7
    assert alarmed.registry.alias("orders", "challenger").version == challenger


def test_a_day_that_is_judged_after_a_shorter_window_is_judged_by_rows(alarmed):
    stream = stream_of(triggers={"on_drift": "shorter_window", "window": 2})
    assert react(stream, KEYS[6], alarmed).facts["promotion"] == "promoted"
    for verb in (land, fit, merge):
        verb(stream, KEYS[7], alarmed)
    outcome = promote(stream, KEYS[7], alarmed)
    assert "unseen rows" in outcome.facts.get("why", outcome.facts["decision"])


def test_a_refused_trigger_does_not_stop_the_day(alarmed, monkeypatch):
    stream = stream_of(triggers={"on_drift": "shorter_window", "window": 2})
    check = alarmed.gate.check_window

    def refusing(stream, key, model, blocks):
        report = check(stream, key, model, blocks)
        return (
            replace(report, checks=(Check("law", False, "broken"),)) if len(blocks) == 2 else report
        )

    monkeypatch.setattr(alarmed.gate, "check_window", refusing)
    outcome = react(stream, KEYS[6], alarmed)
    assert not outcome.changed
    assert outcome.facts["decision"].startswith("not done: ")
    assert not alarmed.store.record_keys("orders", "triggers")
    assert promote(stream, KEYS[6], alarmed).changed


def test_a_trigger_that_a_person_is_asked_about_names_its_version(alarmed):
    triggers = {"on_drift": "wider_k", "more_k": 1}
    stream = stream_of(triggers=triggers, promotion={"approval": "always"})
    outcome = react(stream, KEYS[6], alarmed)
    assert outcome.facts["asks"] == outcome.facts["version"] == 8
    assert promote(stream, KEYS[6], alarmed, 8, answer="promote", by="ann").changed


def test_a_budget_ends_it(alarmed):
    stream = stream_of(triggers={"on_drift": "new_baseline", "budget": 1})
    alarmed.store.save_record("orders", "triggers", KEYS[2], {})
    outcome = react(stream, KEYS[6], alarmed)
    assert not outcome.changed
    assert outcome.facts["decision"] == "budget spent: 1 in 30 days"
    assert alarmed.registry.notes("orders")[BASELINE] == KEYS[3]


def test_nothing_is_done_unasked(alarmed):
    assert not react(stream_of(), KEYS[6], alarmed).changed


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"drift": {"enter": 1.0, "leave": 2.0}}, "leave"),
        ({"health": {"at_most": {"silhouettes": 1}}}, "silhouettes"),
        ({"health": {"label": "rating"}}, "health.label"),
        ({"promotion": {"approval": "sometimes"}}, "approval"),
        ({"triggers": {"on_drift": "panic"}}, "on_drift"),
        ({"triggers": {"on_drift": "shorter_window", "window": 4}}, "below window.blocks 4"),
        ({"triggers": {"on_drift": "wider_k"}, "mixture": {"k": 3, "block_k": 3}}, "block_k 3"),
        (
            {
                "triggers": {"on_drift": "wider_k"},
                "window": {"blocks": 4, "k": {"minimum": 2, "maximum": 4}},
            },
            "window.k is a range",
        ),
        (
            {"triggers": {"on_drift": "new_baseline"}, "drift": {"baseline": "2024-05-01"}},
            "drift.baseline",
        ),
    ],
)
def test_a_wrong_section_is_refused(declared, section, says):
    with pytest.raises(ValueError, match=says):
        Stream.model_validate({**declared, **section})


def test_the_new_sections_do_not_change_what_is_there(declared):
    plain = Stream.model_validate(declared)
    other = Stream.model_validate(
        {**declared, "promotion": {"margin": 0.2}, "drift": {"patience": 5},
         "health": {"at_least": {"silhouette": None}}, "triggers": {"on_drift": "wider_k"}}
    )  # fmt: skip
    for name in ("rows_fingerprint", "fit_fingerprint", "window_fingerprint"):
        assert getattr(plain, name) == getattr(other, name)
