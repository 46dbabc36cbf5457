"""Landing: the rows of one UTC day of the source become the rows of a block, as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gmm_core.errors import InvalidInput, InvalidSource
from gmm_core.pipeline.ports import Landing
from gmm_core.pipeline.settings.sources import Source
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import content, quoted, write_rows
from gmm_core.spark.source import day_rows, pinned

__all__ = ["land"]

EVENT_TIME = "event_time"
_REMEDY = "correct the stream file"
_TEXT_LIKE = (st.StringType, st.IntegralType, st.BooleanType)
_TEXT_BOUND = "text, a whole number or a boolean, since it is categorical"


def land(spark: SparkSession, stream: Stream, key: str, target: str) -> Landing:
    """Write the block's rows in source units: group_by columns, `event_time`, source.columns.

    One pass over the source writes, one over what was written gives its count and digest. With
    `having`, a third counts the rows before it, from the columns that takes.

    Raises
    ------
    InvalidInput : an expression is wrong; the message names the stream's key.
    InvalidSource : the source is not what the stream declares, or cannot be read.
    ServiceUnavailable : Spark failed.
    """
    _check_names(stream)
    stream = pinned(stream)
    version = stream.source.version
    day = day_rows(spark, stream, key)
    with _naming_the_key(day, stream):
        rows = _block_rows(day, stream.source)
        kinds = {field.name: field.dataType for field in rows.schema.fields}
    _check_features(kinds, stream)
    with _naming_the_key(day, stream):
        kept = _kept(_plain(rows, kinds, stream), stream.source)
        order = [EVENT_TIME, *(quoted(name) for name in stream.source.group_by)]
        written = write_rows(kept.sortWithinPartitions(*order), target)
    with spark_errors("the landed rows cannot be read back", remedy="land the block again"):
        count, digest = content(written)
    if not stream.source.having:
        return Landing(count, 0, digest, version)
    # Not an Observation: a Spark Connect server under load answers it with nothing.
    with _naming_the_key(day, stream):
        return Landing(count, rows.count() - count, digest, version)


def _block_rows(day: DataFrame, source: Source) -> DataFrame:
    """One row per group, or per source row without `group_by`, before `having`."""
    day = _counted(day, source)
    if not source.group_by:
        return _shaped(day, source).hint("rebalance")  # few files, packed by size
    # A sum of floats depends on the order of its terms, and the order in which a shuffle delivers
    # them is chance. Whole groups in one partition, sorted, give the same digits every time.
    used = _used(day, source)
    settled = day.select(*used).repartition(*_columns(source.group_by)).sortWithinPartitions(*used)
    return _shaped(settled, source)


def _counted(day: DataFrame, source: Source) -> DataFrame:
    return day.where(sf.expr(source.where)) if source.where else day


def _shaped(rows: DataFrame, source: Source) -> DataFrame:
    columns = [sf.expr(text).alias(name) for name, text in source.columns.items()]
    time = sf.col(quoted(source.time))
    if not source.group_by:
        return rows.select(time.alias(EVENT_TIME), *columns)
    return rows.groupBy(*_columns(source.group_by)).agg(sf.min(time).alias(EVENT_TIME), *columns)


def _kept(rows: DataFrame, source: Source) -> DataFrame:
    """What `having` keeps; it leaves out NULL, too."""
    return rows.where(sf.expr(source.having)) if source.having else rows


def _used(day: DataFrame, source: Source) -> list[Column]:
    """The columns whose names occur in what is still to be computed: all that it can refer to."""
    text = " ".join([source.time, *source.group_by, *source.columns.values()]).lower()
    return [sf.col(quoted(name)) for name in day.columns if name.lower() in text]


def _plain(rows: DataFrame, kinds: dict[str, st.DataType], stream: Stream) -> DataFrame:
    """Decimals as doubles: 60.0 in an expression makes a decimal, which no numerics want. Categorical
    features as text: levels are compared so."""
    decimals = {
        name: sf.col(quoted(name)).cast("double")
        for name in stream.source.columns
        if isinstance(kinds[name], st.DecimalType)
    }
    texts = {name: sf.col(quoted(name)).cast("string") for name in stream.categorical_features}
    made = decimals | texts
    return rows.withColumns(made) if made else rows


def _check_features(kinds: dict[str, st.DataType], stream: Stream) -> None:
    wanted = [
        *((name, (st.NumericType,), "a numeric type") for name in stream.numeric_features),
        *((name, _TEXT_LIKE, _TEXT_BOUND) for name in stream.categorical_features),
    ]
    for name, kinds_allowed, bound in wanted:
        if not isinstance(kinds[name], kinds_allowed):
            raise InvalidSource(
                f"stream {stream.name}: source.columns.{name} is a feature",
                got=kinds[name].simpleString(),
                bound=bound,
                remedy="cast it in its expression",
            )


def _check_names(stream: Stream) -> None:
    names = [*stream.source.group_by, EVENT_TIME, *stream.source.columns]
    lower = [name.lower() for name in names]
    twice = sorted({name for name in lower if lower.count(name) > 1})
    if twice:
        raise InvalidInput(
            f"stream {stream.name}: source.columns would give a block column twice",
            got=twice,
            bound=f"other names than group_by and {EVENT_TIME}",
            remedy="rename the column in the stream file",
        )


@contextmanager
def _naming_the_key(day: DataFrame, stream: Stream) -> Iterator[None]:
    """When Spark refuses the declaration, find the first key of it that is wrong on its own."""
    try:
        with spark_errors(f"stream {stream.name}: source", remedy=_REMEDY):
            yield
    except InvalidInput as error:
        raise _first_fault(day, stream) or error from None


def _first_fault(day: DataFrame, stream: Stream) -> InvalidInput | None:
    # Names and types cost nothing to check; only then are the steps run, for values.
    for check in (lambda rows: rows.schema, _run):
        for key, rows in _steps(day, stream.source):
            try:
                with spark_errors(f"stream {stream.name}: {key}", remedy=_REMEDY):
                    check(rows())
            except InvalidInput as error:
                return error
    return None


def _run(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _steps(day: DataFrame, source: Source) -> Iterator[tuple[str, Callable[[], DataFrame]]]:
    """Each key with what computes it alone; a classic session already fails while building it."""
    yield "source.time", lambda: day.select(sf.col(quoted(source.time)))
    yield "source.where", lambda: _counted(day, source)
    counted = _counted(day, source)
    yield "source.group_by", lambda: counted.select(*_columns(source.group_by))
    for name, text in source.columns.items():
        alone = source.model_copy(update={"columns": {name: text}})
        yield f"source.columns.{name}", partial(_shaped, counted, alone)
    yield "source.having", lambda: _kept(_shaped(counted, source), source)


def _columns(names: tuple[str, ...]) -> list[Column]:
    return [sf.col(quoted(name)) for name in names]
