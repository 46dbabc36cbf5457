"""The output gate: transformed rows must be complete, bounded, invertible and plausible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import ExpectationsGate
from gmm_core.model import DensityModel
from gmm_core.pipeline.output import USABLE, output_laws
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.settings.gates import Gates
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.tally import Tally, tally_of

KEY = KEYS[3]
NAMES = ("price", "delay", "rating")


def failed(report: GateReport) -> dict[str, str]:
    return {check.name: check.got for check in report.failures}


def set_at(rows: pd.DataFrame, name: str, row: int, value: object) -> pd.DataFrame:
    rows = rows.copy()
    rows.loc[row, name] = value
    return rows


@pytest.mark.parametrize("key", KEYS)
def test_every_real_day_passes_under_one_model(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, key: str
) -> None:
    report = gate.check_transformed(stream, key, transformed(model, make_rows(key)), model)
    assert report.passed, report.reason
    assert (report.gate, report.score) == ("transformed", "15/15")


@pytest.mark.parametrize("n", [50, 5_000])
def test_small_and_large_blocks_pass(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, n: int
) -> None:
    report = gate.check_transformed(stream, KEY, transformed(model, make_rows(KEY, n)), model)
    assert report.passed, report.reason


def test_cents_instead_of_dollars_are_refused(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, rows: pd.DataFrame
) -> None:
    cents = rows.assign(price=rows.price * 100)
    report = gate.check_transformed(stream, KEY, transformed(model, cents), model)
    assert set(failed(report)) == {"price: mean plausible", "log_prob plausible"}
    assert float(failed(report)["price: mean plausible"]) > 3


def test_cents_are_refused_even_when_their_day_is_in_the_window(
    gate: ExpectationsGate, stream: Stream, transformed, rows: pd.DataFrame, blocks, fitted, merged
) -> None:
    cents = rows.assign(price=rows.price * 100)
    tainted = merged([*blocks[:-1], fitted(KEY, cents)])
    report = gate.check_transformed(stream, KEY, transformed(tainted, cents), tainted)
    assert "price: mean plausible" in failed(report)


@pytest.mark.parametrize("factor", [0.001, 100.0])
def test_a_unit_change_of_a_feature_without_transform_is_refused(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, rows, factor: float
) -> None:
    other = rows.assign(rating=rows.rating * factor)
    report = gate.check_transformed(stream, KEY, transformed(model, other), model)
    assert "rating: spread plausible" in failed(report)


@pytest.mark.parametrize("name", NAMES)
def test_one_tampered_value_is_refused(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, rows, name: str
) -> None:
    good = transformed(model, rows)
    column = f"{name}_normalised"
    report = gate.check_transformed(
        stream, KEY, set_at(good, column, 7, good.loc[7, column] + 1e-7), model
    )
    assert set(failed(report)) == {f"{name}: restored"}


@pytest.mark.parametrize(
    ("name", "value", "broken"),
    [
        ("component", 3, {"component known": "1"}),
        ("component", -1, {"component known": "1"}),
        ("score", 1.0001, {"score in range": "1"}),
        ("score", np.nan, {"rows complete": "0.9975"}),
        ("log_prob", -np.inf, {"rows complete": "0.9975"}),
        ("price", np.nan, {"rows complete": "0.9975"}),
    ],
)
def test_one_strange_value_is_refused(
    gate: ExpectationsGate, stream: Stream, model, transformed, rows, name, value, broken
) -> None:
    report = gate.check_transformed(
        stream, KEY, set_at(transformed(model, rows), name, 7, value), model
    )
    assert failed(report) == broken


def test_too_many_rows_beyond_the_bound_are_refused(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, rows: pd.DataFrame
) -> None:
    good = transformed(model, rows)
    largest = good[[f"{name}_normalised" for name in NAMES]].abs().max(axis=1)
    bound = float(largest.sort_values().iloc[-5])  # four of 400 rows are beyond it
    report = gate.check_transformed(_bounded(stream, bound), KEY, good, model)
    assert report.passed, report.reason
    bound = float(largest.sort_values().iloc[-6])
    report = gate.check_transformed(_bounded(stream, bound), KEY, good, model)
    assert failed(report) == {"normalised bounded": "0.9875"}


def _bounded(stream: Stream, bound: float) -> Stream:
    gates = stream.gates.model_copy(update={"normalised_bound": bound, "normalised_share": 0.99})
    return stream.model_copy(update={"gates": gates})


def test_unusable_columns_are_named_and_nothing_is_raised(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, rows: pd.DataFrame
) -> None:
    bad = transformed(model, rows).drop(columns="price_normalised").assign(score="high")
    report = gate.check_transformed(stream, KEY, bad, model)
    assert failed(report)[USABLE] == "2 (price_normalised: missing, score: object)"
    assert {got for name, got in failed(report).items() if name != USABLE} == {"not measured"}
    assert len(report.failures) == len(report.checks)


def test_no_rows_are_refused(
    gate: ExpectationsGate, stream: Stream, model: DensityModel, transformed, rows: pd.DataFrame
) -> None:
    report = gate.check_transformed(stream, KEY, transformed(model, rows).iloc[:0], model)
    assert failed(report)["rows complete"] == "not measured"


def test_tallies_of_parts_add_up_to_the_tally_of_all(
    model: DensityModel, transformed, rows: pd.DataFrame
) -> None:
    good = transformed(model, rows)
    bad = set_at(
        set_at(set_at(good, "score", 3, 2.0), "component", 150, 9), "log_prob", 300, np.nan
    )
    bad.loc[399, "price_normalised"] = 12.0
    whole = tally_of(bad, model, 10.0)
    parts = [tally_of(bad.iloc[first : first + 100], model, 10.0) for first in range(0, 400, 100)]
    total = sum(
        (Tally.from_json(part.to_json()) for part in reversed(parts)), Tally.empty(len(NAMES))
    )
    assert (whole.rows, whole.gaps, whole.strange_component) == (400, 1, 1)
    assert (whole.strange_score, whole.beyond) == (1, 1)
    for name in ("rows", "gaps", "strange_component", "strange_score", "beyond"):
        assert getattr(total, name) == getattr(whole, name)
    np.testing.assert_array_equal(total.error, whole.error)
    np.testing.assert_allclose(total.moments.mean, whole.moments.mean, rtol=1e-12)
    np.testing.assert_allclose(total.moments.scatter, whole.moments.scatter, rtol=1e-10)
    np.testing.assert_allclose(total.log_prob.mean, whole.log_prob.mean, rtol=1e-12)


def test_the_model_predicts_the_moments_it_is_held_against(model: DensityModel) -> None:
    """Rows drawn from the model itself: what is predicted is what is seen, within sampling error."""
    matrix = model.mixture.sample(200_000, seed=3)
    columns = {f.name: f.inverse(matrix[:, i]) for i, f in enumerate(model.features)}
    drawn = pd.DataFrame({**columns, **model.transform(columns)})
    laws = {law.name: law for law in output_laws(model, Gates(), tally_of(drawn, model, 10.0), {})}
    for name in NAMES:
        assert abs(laws[f"{name}: mean plausible"].got) < 0.01
        assert laws[f"{name}: spread plausible"].got == pytest.approx(1, abs=0.01)
    assert abs(laws["log_prob plausible"].got) < 0.03
