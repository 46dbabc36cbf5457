"""The rows of one day of a PostgreSQL table, read by Spark over JDBC.

Address and password are in the environment alone, under the connection's name. The day is cut into
ranges of time, one per reader; what each asks for are its columns and its range, nothing else.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as st

from gmm_core.errors import InvalidInput, InvalidSource, ServiceUnavailable
from gmm_core.pipeline.settings.sources import Source, connection_variable
from gmm_core.spark.failures import spark_errors

__all__ = ["day_of_table"]

_DRIVER = "org.postgresql.Driver"
_TIMES = (st.TimestampType, st.TimestampNTZType, st.DateType)
_ADDRESS = "postgresql://user:password@host:port/database"
_ENCRYPTION = {"sslmode", "sslrootcert"}


def day_of_table(spark: SparkSession, stream: str, source: Source, day: dt.date) -> DataFrame:
    """The table's rows of a UTC day; nothing is computed yet but the table's columns.

    Raises
    ------
    InvalidInput : the connection is not known.
    InvalidSource : it has no such table, or the table's time is no time.
    ServiceUnavailable : the database does not answer, or Spark lacks its driver.
    """
    options = _options(stream, str(source.connection))
    table = ".".join(f'"{part}"' for part in str(source.table).split("."))
    with _explained(stream, source):
        fields = spark.read.jdbc(options["url"], table, properties=options).schema.fields
    time = {field.name.lower(): field for field in fields}.get(source.time.lower())
    if time is None:
        return spark.createDataFrame([], st.StructType(fields))  # the caller names the columns
    if not isinstance(time.dataType, _TIMES) or '"' in time.name:
        raise InvalidSource(
            f"stream {stream}: source.time {time.name!r} is not a time",
            got=time.dataType.simpleString(),
            bound="timestamp, timestamptz or date",
            remedy="name another column, or read a view that casts it",
        )
    ranges = _ranges(time.name, day, source.readers or 1)
    with _explained(stream, source):
        return spark.read.jdbc(options["url"], table, predicates=ranges, properties=options)


def _ranges(column: str, day: dt.date, readers: int) -> list[str]:
    """Conditions that share the day out. Of a column of dates the last range takes all.

    A timestamp without zone ignores the offset, which makes it UTC; one with a zone obeys it.
    """
    start = dt.datetime.combine(day, dt.time())
    step = dt.timedelta(days=1) / readers
    edges = [start + index * step for index in range(readers)] + [start + dt.timedelta(days=1)]
    return [
        f"\"{column}\" >= '{low.isoformat(' ')}+00' AND \"{column}\" < '{high.isoformat(' ')}+00'"
        for low, high in pairwise(edges)
    ]


def _options(stream: str, connection: str) -> dict[str, str]:
    variable = connection_variable(connection)
    address = os.environ.get(variable, "")
    parts = urlsplit(address)
    try:
        host, port, database = parts.hostname, parts.port or 5432, parts.path.strip("/")
    except ValueError:  # a port that is none
        host = None
    more = dict(parse_qsl(parts.query))
    if (
        set(more) - _ENCRYPTION
        or parts.scheme not in ("postgres", "postgresql")
        or not host
        or not database
    ):
        raise InvalidInput(  # the value is a secret: what is wrong with it is not shown
            f"stream {stream}: source.connection {connection!r}: environment variable {variable} "
            + ("is not set" if not address else "is no address of a PostgreSQL database"),
            bound=f"{_ADDRESS}, with percent signs for special characters; then ?sslmode=",
            remedy="set it, or add the Airflow connection of that name",
        )
    return {
        "url": f"jdbc:postgresql://{f'[{host}]' if ':' in host else host}:{port}/{database}",
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "driver": _DRIVER,
        "ApplicationName": "blockmix",
        "preferTimestampNTZ": "true",  # else a time without zone is taken for one of the JVM's zone
        # Spark writes times into its conditions in the JVM's zone, and says so to nobody.
        "pushDownPredicate": "false",
        "fetchsize": "10000",
        **more,
    }


@contextmanager
def _explained(stream: str, source: Source) -> Iterator[None]:
    doing = f"stream {stream}: table {source.table} of connection {source.connection!r}"
    try:
        with spark_errors(doing, remedy="correct source.table"):
            yield
    except ServiceUnavailable as error:
        if _DRIVER in str(error):
            raise ServiceUnavailable(
                f"{doing}: Spark lacks PostgreSQL's driver",
                remedy="name its jar in BLOCKMIX_SPARK_JARS, or in spark.jars of the server",
            ) from None
        raise
