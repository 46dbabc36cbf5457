"""The rows gate: what it lets through, what it refuses, and how it says so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from orders import KEYS, make_rows

from expectations import ExpectationsGate
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import Stream

KEY = KEYS[3]
UNLOOKED = "not looked at: no usable column"

Change = Callable[[pd.DataFrame], pd.DataFrame]


def failed(report: GateReport) -> dict[str, tuple[str, str]]:
    return {check.name: (check.got, check.bound) for check in report.failures}


def with_values(name: str, values: object, upto: int | None = None) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.copy() if isinstance(values, float) else rows.astype({name: object})
        rows.loc[: len(rows) if upto is None else upto - 1, name] = values
        return rows

    return change


@pytest.mark.parametrize("key", KEYS[:3])
def test_good_rows_pass(gate: ExpectationsGate, stream: Stream, key: str) -> None:
    report = gate.check_rows(stream, key, make_rows(key))
    assert report.passed, report.reason
    assert report.gate == "rows"
    assert report.score == "16/16"
    assert all(check.got and check.bound for check in report.checks)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(event_time=rows.event_time.dt.tz_localize("UTC")),
        lambda rows: rows.assign(
            event_time=rows.event_time.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        ),
        lambda rows: rows.assign(event_time=rows.event_time.astype(object)),
        lambda rows: rows.assign(price=rows.price.round(2).astype(str).map(Decimal)),
        lambda rows: rows.assign(delay=rows.delay.round().astype("Int64")),
        lambda rows: rows.convert_dtypes(dtype_backend="pyarrow"),
        lambda rows: rows.assign(
            event_time=rows.event_time.dt.tz_localize("UTC").astype("timestamp[ns, UTC][pyarrow]")
        ),
        lambda rows: rows.assign(delay=rows.delay.round().astype("category")),
        lambda rows: rows.iloc[:50],
        lambda rows: rows.sample(frac=1, random_state=0).set_index("price", drop=False),
    ],
    ids=[
        "utc",
        "tokyo",
        "datetimes",
        "decimals",
        "whole",
        "arrow",
        "arrow utc",
        "categories",
        "just enough",
        "index",
    ],
)
def test_the_same_rows_pass_in_other_types(
    gate: ExpectationsGate, stream: Stream, rows: pd.DataFrame, change: Change
) -> None:
    report = gate.check_rows(stream, KEY, change(rows))
    assert report.passed, report.reason


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda rows: rows.drop(columns="delay"),
            {
                "delay: numeric": ("missing", "a column of numbers"),
                "delay: present": (UNLOOKED, "all values"),
                "delay: between 0 and 1000": (UNLOOKED, "all values"),
                "delay: varies": (UNLOOKED, "a standard deviation above 0"),
            },
            id="missing column",
        ),
        pytest.param(
            with_values("price", "12 dollars", upto=1),
            {
                "price: numeric": ("object", "a column of numbers"),
                "price: present": (UNLOOKED, "all values"),
                "price: between 0.01 and 10000 dollars": (UNLOOKED, "all values"),
                "price: varies": (UNLOOKED, "a standard deviation above 0"),
            },
            id="text in a number",
        ),
        pytest.param(
            with_values("price", np.nan, upto=10),
            {"price: present": ("2.5 % missing (10 of 400 rows)", "all values")},
            id="gaps",
        ),
        pytest.param(
            with_values("price", None),
            {
                "price: present": ("100.0 % missing (400 of 400 rows)", "all values"),
                "price: varies": ("not measured", "a standard deviation above 0"),
            },
            id="nothing but gaps",
        ),
        pytest.param(
            with_values("price", 120_000.0, upto=100),
            {
                "price: between 0.01 and 10000 dollars": (
                    "25.0 % outside, e.g. 120000",
                    "all values",
                )
            },
            id="out of range",
        ),
        pytest.param(
            with_values("rating", 3.0),
            {"rating: varies": ("0", "a standard deviation above 0")},
            id="constant",
        ),
        pytest.param(
            lambda rows: rows.assign(event_time=rows.event_time + pd.Timedelta(days=1)),
            {
                f"event_time: inside {KEY} UTC": (
                    "100.0 % outside, e.g. 2024-05-05 00:06:02",
                    "all values",
                )
            },
            id="wrong day",
        ),
        pytest.param(
            lambda rows: rows.assign(event_time=pd.Timestamp(KEY) + pd.Timedelta(days=1)),
            {
                f"event_time: inside {KEY} UTC": (
                    "100.0 % outside, e.g. 2024-05-05 00:00:00",
                    "all values",
                )
            },
            id="next midnight",
        ),
        pytest.param(
            lambda rows: rows.assign(event_time=pd.Timestamp("1700-01-01")),
            {
                f"event_time: inside {KEY} UTC": (
                    "100.0 % outside, e.g. 1700-01-01 00:00:00",
                    "all values",
                )
            },
            id="long ago",
        ),
        pytest.param(
            lambda rows: rows.assign(
                event_time=pd.Series([dt.datetime(9999, 1, 1)] * 400, dtype=object)
            ),
            {"event_time: present": ("100.0 % missing (400 of 400 rows)", "all values")},
            id="never",
        ),
        pytest.param(
            lambda rows: rows.assign(event_time=dt.date.fromisoformat(KEY).isoformat()),
            {
                "event_time: a timestamp": ("object", "a column of timestamps"),
                "event_time: present": (UNLOOKED, "all values"),
                f"event_time: inside {KEY} UTC": (UNLOOKED, "all values"),
            },
            id="time as text",
        ),
        pytest.param(
            lambda rows: rows.iloc[:49], {"rows": ("49 rows", "at least 50")}, id="too few rows"
        ),
    ],
)
def test_bad_rows_are_refused_with_what_was_found(
    gate: ExpectationsGate,
    stream: Stream,
    rows: pd.DataFrame,
    change: Change,
    expected: dict[str, tuple[str, str]],
) -> None:
    report = gate.check_rows(stream, KEY, change(rows))
    assert failed(report) == expected
    assert len(report.checks) == 16


def test_no_rows_and_no_columns_are_refused_not_raised(
    gate: ExpectationsGate, stream: Stream, rows: pd.DataFrame
) -> None:
    empty = gate.check_rows(stream, KEY, rows.iloc[:0])
    assert failed(empty)["rows"] == ("0 rows", "at least 50")
    bare = gate.check_rows(stream, KEY, rows[[]])
    assert {check.name for check in bare.checks} - set(failed(bare)) == {"rows"}


def test_infinite_values_are_out_of_range(
    gate: ExpectationsGate, stream: Stream, rows: pd.DataFrame
) -> None:
    report = gate.check_rows(stream, KEY, with_values("delay", np.inf, upto=1)(rows))
    assert failed(report)["delay: between 0 and 1000"] == ("0.2 % outside, e.g. inf", "all values")


def test_the_stream_says_how_much_may_be_missing_or_out_of_range(
    gate: ExpectationsGate, stream: Stream, rows: pd.DataFrame
) -> None:
    gates = stream.gates.model_copy(update={"completeness": 0.9, "in_range": 0.9})
    lenient = stream.model_copy(update={"gates": gates})
    bad = with_values("price", np.nan, upto=40)(with_values("delay", -1.0, upto=40)(rows))
    assert gate.check_rows(lenient, KEY, bad).passed
    worse = with_values("price", np.nan, upto=41)(with_values("delay", -1.0, upto=41)(rows))
    assert failed(gate.check_rows(lenient, KEY, worse)) == {
        "price: present": ("10.2 % missing (41 of 400 rows)", "at least 90 % of values"),
        "delay: between 0 and 1000": ("10.2 % outside, e.g. -1", "at least 90 % of values"),
    }
