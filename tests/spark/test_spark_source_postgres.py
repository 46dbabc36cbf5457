"""A table of PostgreSQL as a source: the rows of the day, where the secret is, and what can go wrong."""

from __future__ import annotations

import datetime as dt
import socket
from itertools import pairwise

import pytest
from jdbc import POSTGRES_JAR

from bench.postgres import PASSWORD, Database, postgres_binaries
from gmm_core.errors import InvalidInput, InvalidSource, ServiceUnavailable
from gmm_core.pipeline.settings.sources import Source
from gmm_core.spark.postgres import _options, _ranges

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        postgres_binaries() is None, reason="no PostgreSQL server (apt-get install postgresql)"
    ),
    pytest.mark.skipif(
        not POSTGRES_JAR, reason="no JDBC driver (apt-get install libpostgresql-jdbc-java)"
    ),
]
KEY = "2017-03-14"
# Every half hour from 23:30 of the day before: 1 to 48 are of the day.
TABLE = """
create table "Payments" as select i::float8 as x, timestamp '2017-03-13 23:30' + i * interval '30 minutes'
as at, timestamptz '2017-03-13 23:30+00' + i * interval '30 minutes' as "seenAt",
date '2017-03-13' + (i + 47) / 48 as day, i::text as note from generate_series(0, 49) i
"""


@pytest.fixture(scope="module")
def database():
    running = Database()
    try:
        running.run(TABLE, "create schema shop", 'create view shop.v as select * from "Payments"')
        yield running
    finally:
        running.close()


@pytest.fixture
def table(database, stream_of, monkeypatch):
    monkeypatch.setenv("BLOCKMIX_CONNECTION_SHOP", database.address)

    def make(**source):
        database_keys = {"format": "postgres", "connection": "shop", "table": "Payments"}
        return stream_of(None, **database_keys | source)

    return make


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({}, range(1, 49)),
        ({"time": "at", "readers": 5, "table": "shop.v"}, range(1, 49)),
        ({"time": "seenAt", "readers": 3}, range(1, 49)),
        ({"time": "DAY", "readers": 4}, range(1, 49)),
        ({"where": "x > 40"}, range(41, 49)),
    ],
    ids=["timestamp", "view, five readers", "with time zone", "date", "where"],
)
def test_the_rows_of_the_day(land, table, source, wanted):
    landing, rows = land(table(**source))
    assert sorted(rows["x"]) == list(wanted)
    assert (landing.rows, landing.left_out) == (len(wanted), 0)


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ({"table": "nope"}, InvalidSource, 'relation "nope" does not exist.*Correct source.table'),
        ({"time": "nope"}, InvalidSource, "source.time is not a column of the source: got 'nope'"),
        ({"time": "x"}, InvalidSource, "source.time 'x' is not a time: got 'double'"),
        ({"time": "note"}, InvalidSource, "source.time 'note' is not a time: got 'string'"),
        ({"columns": {"x": "gone"}}, InvalidSource, "source.columns.x: .*`gone`"),
        ({"connection": "other"}, InvalidInput, "BLOCKMIX_CONNECTION_OTHER is not set"),
    ],
)
def test_what_is_wrong_is_named(land, table, source, kind, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        land(table(**source))
    assert type(caught.value) is kind
    assert PASSWORD not in str(caught.value)


def test_a_database_that_is_not_there_is_worth_another_try(land, table, monkeypatch):
    with socket.socket() as taken:  # bound, not listening
        taken.bind(("127.0.0.1", 0))
        address = f"postgresql://postgres:secret@127.0.0.1:{taken.getsockname()[1]}/postgres"
        monkeypatch.setenv("BLOCKMIX_CONNECTION_SHOP", address)
        with pytest.raises(
            ServiceUnavailable, match=r"Connection to 127\.0\.0\.1.* refused"
        ) as caught:
            land(table())
    assert "secret" not in str(caught.value)


# Without a database


@pytest.mark.parametrize("readers", [1, 4, 7])
def test_the_ranges_share_the_day_out(readers):
    ranges = _ranges("at", dt.date(2017, 3, 14), readers)
    edges = [part.split("'")[1::2] for part in ranges]
    assert len(ranges) == readers
    assert edges[0][0] == "2017-03-14 00:00:00+00"
    assert edges[-1][1] == "2017-03-15 00:00:00+00"
    assert all(before[1] == after[0] for before, after in pairwise(edges))


@pytest.mark.parametrize(
    "address", ["mysql://u:hidden@h/d", "postgresql://u:hidden@h", "postgresql://u:hidden@h:port/d",
                "hidden", "postgresql://u:hidden@h/d?options=-c"],
)  # fmt: skip
def test_an_address_that_is_none_is_not_shown(monkeypatch, address):
    monkeypatch.setenv("BLOCKMIX_CONNECTION_SHOP", address)
    with pytest.raises(InvalidInput, match="is no address of a PostgreSQL database") as caught:
        _options("toy", "shop")
    assert "hidden" not in str(caught.value)


def test_an_address_in_parts(monkeypatch):
    monkeypatch.setenv("BLOCKMIX_CONNECTION_SHOP", "postgres://u%40:p%3A@[::1]/d?sslmode=require")
    options = _options("toy", "shop")
    assert options["url"] == "jdbc:postgresql://[::1]:5432/d"
    assert (options["user"], options["password"], options["sslmode"]) == ("u@", "p:", "require")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"format": "postgres", "path": "x"}, "needs connection and table"),
        ({"format": "postgres", "connection": "c", "table": "t", "path": "x"}, "has no path"),
        ({"format": "csv"}, "needs path"),
        ({"path": "x", "version": 1, "readers": 2}, "has no readers and no version"),
        ({"format": "postgres", "connection": "c", "table": 't"; drop'}, "should match pattern"),
        ({"format": "postgres", "connection": "C D", "table": "t"}, "should match pattern"),
    ],
)
def test_keys_belong_to_a_format(keys, says):
    with pytest.raises(ValueError, match=says):
        Source.model_validate({"time": "at", "columns": {"x": "x"}} | keys)
