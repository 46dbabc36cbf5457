"""The gate of the twins: it refuses what the real one refuses, and never raises for bad data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import ExpectationsGate
from gmm_core.errors import OutputRefused
from gmm_core.pipeline.memory import LawGate
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land, merge, promote, transform


@pytest.fixture
def scored(stream, at):
    """A day's rows as they are scored, and the model that scored them."""
    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[0], at)
    model = at.registry.load(stream.name, 1)

    def of(rows: pd.DataFrame) -> pd.DataFrame:
        columns = {name: rows[name].to_numpy() for name in model.feature_names}
        return rows.assign(**model.transform(columns))

    return model, of


def test_of_transformed_rows_it_says_what_the_real_gate_says(stream, scored, tmp_path):
    model, of = scored
    good = make_rows(KEYS[0])
    batches = {
        "good": of(good),
        "prices x 40": of(good.assign(price=40 * good["price"])),
        "a constant": of(good.assign(rating=1.0)),
        "a column gone": of(good).drop(columns="delay_normalised"),
        "text": of(good).assign(score="high"),
        "none": of(good).head(0),
    }
    answers = {
        name: LawGate().check_transformed(stream, KEYS[0], rows, model)
        for name, rows in batches.items()
    }
    assert {name for name, answer in answers.items() if answer.passed} == {"good"}
    real = ExpectationsGate(tmp_path)
    for name in ("prices x 40", "a column gone"):
        theirs = real.check_transformed(stream, KEYS[0], batches[name], model)
        assert answers[name].score == theirs.score, name
        assert [c.name for c in answers[name].failures] == [c.name for c in theirs.failures], name


def test_the_verb_refuses_what_the_gate_refuses(stream, at):
    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[0], at)
    rows = make_rows(KEYS[0])
    at.engine.blocks[KEYS[0]] = rows.assign(price=np.minimum(40 * rows["price"], 9_999))
    land(stream, KEYS[0], at)
    with pytest.raises(OutputRefused, match="price: mean plausible"):
        transform(stream, KEYS[0], at)


@pytest.mark.parametrize("name", ["event_time", "price", "rating"])
def test_a_missing_column_of_rows_is_refused(stream, name):
    report = LawGate().check_rows(stream, KEYS[0], make_rows(KEYS[0]).drop(columns=name))
    assert report.failures
    assert all(name in c.name or c.name == "inside the day" for c in report.failures)


def test_text_and_gaps_are_refused(stream):
    rows = make_rows(KEYS[0])
    for bad in (rows.assign(price="dear"), rows.assign(price=np.nan)):
        assert not LawGate().check_rows(stream, KEYS[0], bad).passed


def test_a_label_declared_after_the_rows_had_landed_stops_nothing(stream, declared, at):
    for verb in (land, fit, merge, promote):
        verb(stream, KEYS[0], at)
    declared["source"]["columns"]["fraud"] = "fraud"
    labelled = Stream.model_validate({**declared, "health": {"label": "fraud"}})
    assert transform(labelled, KEYS[0], at).changed
    assert not transform(labelled, KEYS[0], at).changed
    at.engine.blocks[KEYS[0]] = make_rows(KEYS[0]).assign(fraud=0.0)
    assert land(labelled, KEYS[0], at).changed
    assert transform(labelled, KEYS[0], at).changed
