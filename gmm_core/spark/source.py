"""A stream's source: where it is, and its rows of one UTC day.

Whatever type the time column has, the rows come back with it as TIMESTAMP (an instant, UTC), and
the day is chosen by comparing the column as it is stored, so that Spark can skip files and row
groups by their statistics. Rows without a time belong to no block.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gmm_core.errors import InvalidInput, InvalidSource
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.spark.delta import delta_rows, newest_version
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import quoted
from gmm_core.spark.postgres import day_of_table

__all__ = ["day_rows", "pinned", "resolve"]

_PACKAGE = "package:"
# No file has its times in nanoseconds before 1973: below are seconds, milli- or microseconds.
_FIRST_NANOSECOND = 10**17
# A text that has a zone or an offset behind the time of day.
_ZONED = r"\d:\d\d(:\d\d([.,]\d+)?)?\s*([A-Za-z]|[+-]\d)"


def resolve(path: str) -> str:
    """What Spark is to read: `package:NAME/FILE` as the file's path, a local path made absolute.

    Raises `InvalidInput` when the package or the file is not there, or FILE leaves the package.
    """
    if path.startswith(_PACKAGE):
        return str(_package_file(path))
    if "://" in path or path.startswith("file:"):
        return path
    # Spark would look from the folder its server was started in.
    return str(Path(path).expanduser().absolute())


def _package_file(path: str) -> Path:
    name, _, file = path.removeprefix(_PACKAGE).partition("/")
    wrong = {"got": path, "bound": "package:NAME/FILE, FILE inside the package"}
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise InvalidInput(
            f"source.path: no package {name!r} is installed",
            **wrong,
            remedy=f"install {name!r}, or correct the path",
        )
    root = Path(next(iter(found.submodule_search_locations))).absolute()
    # Not resolve(): an installer may link a package's files to its cache.
    target = Path(os.path.normpath(root / file))
    if not file or root not in target.parents:
        raise InvalidInput("source.path leaves its package", **wrong, remedy="correct the path")
    if not target.exists():
        raise InvalidInput(
            f"source.path: package {name!r} has no such file", **wrong, remedy="correct the path"
        )
    return target


def pinned(stream: Stream) -> Stream:
    """The stream with the version of its source said, where it has versions: the newest of now.

    So every pass over the source reads the same rows, and it can be recorded which. Raises as
    `day_rows`.
    """
    source = stream.source
    if source.format != "delta" or source.version is not None:
        return stream
    version = newest_version(stream.name, resolve(str(source.path)))
    return stream.model_copy(update={"source": source.model_copy(update={"version": version})})


def day_rows(spark: SparkSession, stream: Stream, key: str) -> DataFrame:
    """The source's rows of the block's UTC day, all columns; nothing is computed yet.

    Raises
    ------
    InvalidInput : the source is not there.
    InvalidSource : it cannot be read, or has no usable time column.
    """
    source = stream.source
    rows = _open(spark, stream, parse_key(key))
    with spark_errors(f"stream {stream.name}: source.path", remedy="correct the path or the file"):
        columns = {field.name.lower(): field for field in rows.schema.fields}
    field = columns.get(source.time.lower())
    if field is None:
        raise InvalidSource(
            f"stream {stream.name}: source.time is not a column of the source",
            got=source.time,
            bound=", ".join(rows.columns),
            remedy="name one of these columns",
        )
    inside, instant = _time(rows, field, parse_key(key), stream)
    return rows.where(inside).withColumn(field.name, instant)


def _open(spark: SparkSession, stream: Stream, day: dt.date) -> DataFrame:
    source = stream.source
    if source.format == "postgres":
        return day_of_table(spark, stream.name, source, day)
    path = resolve(str(source.path))
    if source.format == "delta":
        return delta_rows(spark, stream.name, path, source.version)
    with spark_errors(f"stream {stream.name}: source.path", remedy="correct the path or the file"):
        if source.format == "parquet":
            return spark.read.parquet(path)
        # FAILFAST: a broken line would otherwise become NULLs, and its row would silently vanish.
        return spark.read.csv(
            path, header=True, inferSchema=True, mode="FAILFAST", enforceSchema=False
        )


def _time(
    rows: DataFrame, field: st.StructField, day: dt.date, stream: Stream
) -> tuple[Column, Column]:
    """Which rows lie in the day, and the time column as an instant."""
    raw, kind = sf.col(quoted(field.name)), field.dataType
    following = day + dt.timedelta(days=1)
    instant = raw.cast("timestamp")
    if isinstance(kind, st.TimestampNTZType):
        low, high = (sf.expr(f"TIMESTAMP_NTZ '{d} 00:00:00'") for d in (day, following))
    elif isinstance(kind, st.DateType):
        low, high = (sf.expr(f"DATE '{d}'") for d in (day, following))
    elif isinstance(kind, st.LongType):
        _check_nanoseconds(rows, raw, field.name, stream)
        low, high = (sf.lit(_nanoseconds(d)) for d in (day, following))
        stored = quoted(field.name)
        instant = sf.expr(f"timestamp_micros(({stored} - pmod({stored}, 1000)) div 1000)")
    elif isinstance(kind, st.TimestampType | st.StringType):
        low, high = (sf.expr(f"TIMESTAMP '{d} 00:00:00Z'") for d in (day, following))
    else:
        raise InvalidSource(
            f"stream {stream.name}: source.time {field.name!r} is not a time",
            got=kind.simpleString(),
            bound="timestamp, date or ISO 8601 text",
            remedy="name another column, or store the time as a timestamp",
        )
    if isinstance(kind, st.StringType):
        _check_one_clock(rows, raw, field.name, day, stream)
        raw = instant
    return (raw >= low) & (raw < high), instant


def _check_one_clock(rows: DataFrame, raw: Column, name: str, day: dt.date, stream: Stream) -> None:
    """Texts with an offset from UTC are instants, and texts without are taken for UTC; where both
    kinds are near the day, the latter are most likely local times of somewhere."""
    instant, noon = raw.cast("timestamp"), sf.expr(f"TIMESTAMP '{day} 12:00:00Z'")
    reach = sf.expr(
        "INTERVAL '1 02:00:00' DAY TO SECOND"
    )  # half a day, and the largest offset, 14 h
    near = rows.where(instant.between(noon - reach, noon + reach))
    zoned = raw.rlike(_ZONED)
    with spark_errors(f"stream {stream.name}: source.time", remedy="correct the file"):
        [(some, all_)] = near.agg(sf.bool_or(zoned), sf.bool_and(zoned)).collect()
    if some and not all_:
        raise InvalidSource(
            f"stream {stream.name}: source.time {name!r} has times with an offset from UTC and times "
            "without",
            got="both",
            bound="one of them within a day",
            remedy="write every time with its offset",
        )


def _nanoseconds(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * 86_400 * 10**9


def _check_nanoseconds(rows: DataFrame, raw: Column, name: str, stream: Stream) -> None:
    """Integers are Parquet TIMESTAMP(NANOS) as Spark shows it; other counts have no known unit."""
    with spark_errors(f"stream {stream.name}: source.time", remedy="correct the file"):
        first = rows.select(raw).where(raw.isNotNull()).head()
    if first is not None and first[0] < _FIRST_NANOSECOND:
        raise InvalidSource(
            f"stream {stream.name}: source.time {name!r} is not a time",
            got=first[0],
            bound="timestamp, date or ISO 8601 text",
            remedy="store the time as a timestamp",
        )
