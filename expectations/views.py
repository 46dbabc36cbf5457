"""What a gate looks at: the columns it judges, as plain numbers, in one shape for pandas and Spark.

A column is in the view when it is in the rows and holds numbers; what it was found to be otherwise
is kept for the report. NaN and null are the same thing here: missing. The event time becomes the
hours since the block's day began (UTC), so that no time zone of a session can shift it.

A Spark frame of few rows is brought into this process, which costs one job; a larger one stays
where it is. Nothing here imports pyspark: a Spark frame brings its own methods.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gmm_core.errors import ServiceUnavailable
from gmm_core.features import Feature
from gmm_core.pipeline.tally import numbers_of

__all__ = ["EVENT_TIME", "MISSING", "View", "is_spark", "spark_answers", "view_of"]

EVENT_TIME = "event_time"
MISSING = "missing"

_SPARK_NUMBERS = {"byte", "short", "integer", "long", "float", "double", "decimal"}


@dataclass(frozen=True)
class View:
    """The columns of interest.

    Parameters
    ----------
    frame : pandas or Spark, float64 columns only.
    found : for every column that was asked for, the type it has in the rows, or `MISSING`.
    """

    frame: Any
    found: dict[str, str]

    @property
    def unusable(self) -> dict[str, str]:
        """What was asked for and is not in the frame, with what was found in its place."""
        return {name: kind for name, kind in self.found.items() if name not in self.frame.columns}


def is_spark(rows: Any) -> bool:
    """Whether the rows are a Spark frame, classic or Connect."""
    return type(rows).__module__.partition(".")[0] == "pyspark"


@contextmanager
def spark_answers(question: str) -> Iterator[None]:
    """Turns what Spark raises about a question into `ServiceUnavailable`: asking again may help."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j", "grpc"):
            raise
        raise ServiceUnavailable(
            f"Spark could not answer {question}",
            got=(str(error) or type(error).__name__).splitlines()[0][:300],
            remedy="look at the Spark server, then run the block again",
        ) from error


def view_of(
    rows: Any,
    names: Sequence[str],
    day: dt.date | None,
    limit: int,
    levels: Mapping[str, Sequence[str]] | None = None,
) -> View:
    """The named columns, and `EVENT_TIME` when a day is given.

    Parameters
    ----------
    rows : pandas, Spark or Spark Connect frame.
    names : columns that should hold numbers.
    day : the block's day.
    limit : a Spark frame of at most so many rows comes back as pandas.
    levels : columns that should hold text, and what may stand there: the view has 0 for a value that
        is one of these, 1 for another.
    """
    if not is_spark(rows):
        view = _pandas_view(rows, names, day)
        for name, known in (levels or {}).items():
            _add_levels(view, rows, name, known)
        return view
    view = _spark_view(rows, names, day, levels or {})
    few = view.frame.limit(limit + 1).toPandas()
    return view if len(few) > limit else View(few.astype(np.float64), view.found)


def _pandas_view(rows: pd.DataFrame, names: Sequence[str], day: dt.date | None) -> View:
    found, kept = {}, {}
    for name in [*names, *([EVENT_TIME] if day else [])]:
        column = rows.get(name)
        if not isinstance(column, pd.Series):
            found[name] = MISSING if column is None else "several columns of that name"
            continue
        found[name] = str(column.dtype)
        values = _hours(column, day) if day and name == EVENT_TIME else numbers_of(column)
        if values is not None:
            kept[name] = values.to_numpy(np.float64, na_value=np.nan)
    # Rows are counted from 0: the library takes slices by label, which other indexes trip over.
    return View(pd.DataFrame(kept, index=pd.RangeIndex(len(rows))), found)


def _add_levels(view: View, rows: pd.DataFrame, name: str, known: Sequence[str]) -> None:
    column = rows.get(name)
    if not isinstance(column, pd.Series):
        view.found[name] = MISSING if column is None else "several columns of that name"
        return
    view.found[name] = str(column.dtype)
    codes = Feature(name, levels=tuple(known)).forward(column.to_numpy(dtype=object))
    other = np.where(column.isna(), np.nan, codes == len(known))
    view.frame[name] = other.astype(np.float64)


def _hours(column: pd.Series, day: dt.date) -> pd.Series | None:
    if column.dtype == object:
        if not all(isinstance(value, dt.datetime) for value in column.dropna()):
            return None
        column = pd.to_datetime(column, utc=True, errors="coerce")
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        return None
    zone = ", UTC" if column.dt.tz else ""
    moments = column.astype(f"datetime64[{column.dt.unit}{zone}]").dt.tz_localize(None)
    # Microseconds reach any year; differences in nanoseconds overflow after 292 of them.
    since = moments.dt.as_unit("us") - pd.Timestamp(day).as_unit("us")
    return since.dt.total_seconds() / 3600


def _spark_view(
    rows: Any, names: Sequence[str], day: dt.date | None, levels: Mapping[str, Sequence[str]]
) -> View:
    types = {field.name: field.dataType.typeName() for field in rows.schema.fields}
    found = {name: types.get(name, MISSING) for name in names}
    columns = [
        f"CASE WHEN isnan(CAST(`{name}` AS DOUBLE)) THEN NULL ELSE CAST(`{name}` AS DOUBLE) END"
        f" AS `{name}`"
        for name, kind in found.items()
        if kind in _SPARK_NUMBERS
    ]
    for name, known in levels.items():
        found[name] = types.get(name, MISSING)
        if found[name] == "string":
            among = f"`{name}` IN ({', '.join(map(_literal, known))})"
            columns.append(f"CASE WHEN {among} THEN 0D WHEN NOT {among} THEN 1D END AS `{name}`")
    if day:
        found[EVENT_TIME] = types.get(EVENT_TIME, MISSING)
        start = {
            "timestamp": f"TIMESTAMP'{day}T00:00:00Z'",
            "timestamp_ntz": f"TIMESTAMP_NTZ'{day} 00:00:00'",
        }.get(found[EVENT_TIME])
        if start:
            since = f"timestampdiff(MICROSECOND, {start}, `{EVENT_TIME}`)"
            columns.append(f"{since} / 3.6e9 AS `{EVENT_TIME}`")
    # The constant keeps the number of rows when no column is usable.
    return View(rows.selectExpr(*columns, "1D AS `_row`"), found)


def _literal(text: str) -> str:
    """A text in Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
