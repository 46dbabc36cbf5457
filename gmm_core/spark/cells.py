"""Cells in Spark: columns of any number of rows become weighted cells in one query.

The row path is Spark SQL alone: some sums, products and comparisons a value, then a hash aggregate.
What comes back is some thousand rows a column.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import reduce

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as sf

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import quoted
from gmm_core.spark.landed import readable
from gmm_core.squashing.cells import Apart, Cells
from gmm_core.squashing.grid import FURTHEST, Grid

__all__ = [
    "in_feature_space",
    "look",
    "look_at_files",
    "squash_columns",
    "stepwise",
]

LOOK = 65_536  # rows of a pre-look
_LOOK_GROUPS = 16  # row groups of files that it looks into
_REMEDY = "check the columns and their values"


def squash_columns(
    frame: DataFrame,
    columns: Sequence[str],
    grids: Mapping[str, Grid] | None = None,
    *,
    weight: str | None = None,
) -> dict[str, Cells]:
    """The cells of each column: one query, and one before it on a few rows without `grids`.

    Parameters
    ----------
    columns : names of numeric columns.
    grids : how to divide each; from `look` when left out. `Grid.of_sample` makes one of any sample.
    weight : a column of row weights, finite and 0 or more; a row of weight 0 or NULL counts for nothing.

    Rows without a number are counted in `Cells.apart`.

    Raises
    ------
    InvalidInput : no columns, one that is not there or not numeric, no grid for one, or weights that
        are no weights.
    ServiceUnavailable : Spark failed.
    """
    if not columns or len(set(columns)) < len(columns):
        raise InvalidInput("columns", got=list(columns), bound="different names, one at least")
    if grids is None:
        grids = look(frame, columns)
    missing = [name for name in columns if name not in grids]
    if missing:
        raise InvalidInput("columns without a grid", got=missing, bound="a grid for each column")
    with spark_errors("columns cannot be squashed", remedy=_REMEDY):
        parts = [
            _summed(frame, index, name, grids[name], weight) for index, name in enumerate(columns)
        ]
        rows = reduce(DataFrame.unionAll, parts).collect()
    if wrong := [row["wrong"] for row in rows if row["wrong"] is not None]:
        raise InvalidInput(f"weights in column {weight!r}", got=wrong[0], bound="finite, 0 or more")
    return {
        name: _cells([row for row in rows if row["column"] == index], grids[name])
        for index, name in enumerate(columns)
    }


def look(frame: DataFrame, columns: Sequence[str], rows: int = LOOK) -> dict[str, Grid]:
    """Grids for these columns from the first rows of the frame: one small job.

    The first rows may say little of the rest (they may be one day of many). Cells of values unlike
    them are then wider against what they describe; `cell_log_likelihood` says what that costs, and
    `Grid.of_sample` of the cells' means makes a better grid for another pass.
    """
    with spark_errors("columns cannot be looked at", remedy=_REMEDY):
        some = frame.select(*(_number(name).alias(name) for name in columns)).limit(rows)
        table = some.toArrow()
    samples = (np.asarray(table[name].drop_null(), dtype=np.float64) for name in columns)
    return {name: Grid.of_sample(x) for name, x in zip(columns, samples, strict=True)}


def look_at_files(folder: str, features: Sequence[Feature], rows: int = LOOK) -> dict[str, Grid]:
    """Grids for these numeric features from some rows of Parquet files: no Spark job.

    The rows come from up to 16 row groups, evenly spaced over all files; the grids are for values in
    feature space. Raises `InvalidInput` when the files cannot be read.
    """
    system, path = fsspec.core.url_to_fs(folder)
    names = [feature.name for feature in features]
    with readable(f"{folder} cannot be looked at", _REMEDY):
        files = ds.dataset(path, filesystem=system, format="parquet").get_fragments()
        groups = [group for file in files for group in file.split_by_row_group()]
        chosen = groups[:: max(1, -(-len(groups) // _LOOK_GROUPS))]
        share = max(1, rows // max(1, len(chosen)))
        tables = [_some_of(group.to_table(columns=names), share) for group in chosen]
    if not tables:
        return dict.fromkeys(names, Grid.scale_free())
    table = pa.concat_tables(tables)
    return {
        feature.name: Grid.of_sample(_usable(feature, table[feature.name])) for feature in features
    }


def _some_of(table: pa.Table, rows: int) -> pa.Table:
    """Every so many rows of a table, so that there are about as many as asked for."""
    return table.take(np.arange(0, len(table), max(1, len(table) // rows)))


def _usable(feature: Feature, column: pa.ChunkedArray) -> Array:
    """Values in feature space; the rows that have none say nothing of a grid."""
    values = np.asarray(pc.cast(column.drop_null(), pa.float64()))
    with np.errstate(all="ignore"):
        good = values[feature.allowed(values)]
        return feature.forward(good)


def in_feature_space(feature: Feature) -> Column:
    """A numeric feature's column after its transform; NULL where there is no number for a value."""
    x = _number(feature.name)
    forward = {
        "identity": x,
        "log": sf.when(x > 0, sf.ln(x)),
        "log1p": sf.when(x > -1, sf.log1p(x)),
        "sqrt": sf.when(x >= 0, sf.sqrt(x)),
    }
    return forward[feature.transform].alias(feature.name)


def _summed(frame: DataFrame, index: int, name: str, grid: Grid, weight: str | None) -> DataFrame:
    """One row for each occupied cell of the column, and for each kind of row that is in none."""
    heavy = sf.lit(1.0) if weight is None else _number(weight)
    rows = frame.select(_number(name).alias("x"), heavy.alias("w"))
    if weight is not None:
        rows = rows.where(sf.col("w") != 0)
    # A step each: what is used more than once is computed once.
    several = len(grid.zones) > 1
    if several:
        rows = rows.withColumn("zone", stepwise("x", grid.borders, grid.places))
    rows = rows.withColumn("t", (sf.col("x") - _of_zone(grid, 0)) * _of_zone(grid, 1))
    rows = rows.withColumn("size", sf.abs("t") + 1.0)
    rows = rows.withColumn("high", sf.col("size") * _of_zone(grid, 2))
    rows = rows.withColumn("rounded", sf.col("high") - (sf.col("high") - sf.col("size")))
    inside = sf.when(sf.col("t") < 0, 1.0 - sf.col("rounded")).otherwise(sf.col("rounded") - 1.0)
    # NaN is above all numbers in Spark, so it is not within reach either.
    key = sf.when(sf.abs("x") <= FURTHEST, inside).otherwise(_kind())
    rows = rows.withColumn("key", key).withColumn("off", sf.col("t") - sf.col("key"))
    off, w = sf.col("off"), sf.col("w")
    total = sf.count("*").cast("double") if weight is None else sf.sum(w)
    first, second = (off, off * off) if weight is None else (w * off, w * off * off)
    sums = rows.groupBy(*(["zone"] if several else []), "key").agg(
        total.alias("weight"), sf.sum(first).alias("first"), sf.sum(second).alias("second"),
        sf.min("x").alias("low"), sf.max("x").alias("high"),
        sf.max(sf.when(~w.between(0.0, sys.float_info.max), w)).alias("wrong"),
    )  # fmt: skip
    zone = sf.col("zone") if several else sf.lit(0)
    return sums.select(sf.lit(index).alias("column"), zone.alias("zone"), *sums.columns[several:])


def stepwise(x: str, borders: Sequence[float], values: Sequence[float]) -> Column:
    """One more value than there are ascending borders: that of the interval a number lies in.

    Found by halving, so that dozens of intervals cost a few comparisons.
    """
    if len(set(values)) == 1:
        return sf.lit(values[0])
    middle = len(values) // 2
    below = stepwise(x, borders[: middle - 1], values[:middle])
    above = stepwise(x, borders[middle:], values[middle:])
    return sf.when(sf.col(x) < borders[middle - 1], below).otherwise(above)


def _of_zone(grid: Grid, part: int) -> Column:
    """Pivot, reciprocal unit or splitter of the value's zone."""
    pivots, units, splitters = grid.columns()
    values = [float(value) for value in (pivots, 1.0 / units, splitters)[part]]
    if len(set(values)) == 1:
        return sf.lit(values[0])
    return sf.get(sf.array(*map(sf.lit, values)), sf.col("zone"))


def _kind() -> Column:
    """The key of what is in no cell, by its kind: NULL, NaN, or infinite. Cells have finite keys."""
    x = sf.col("x")
    return sf.when(sf.isnan(x) | x.isNull(), x).otherwise(float("inf"))


def _cells(rows: Sequence[Row], grid: Grid) -> Cells:
    """From the collected sums of one column."""
    apart, inside = Apart(), []
    for row in rows:
        if row["key"] is None:
            apart += Apart(null=row["weight"])
        elif np.isnan(row["key"]):
            apart += Apart(nan=row["weight"])
        elif np.isinf(row["key"]):
            apart += Apart(infinite=row["weight"])
        else:
            inside.append(tuple(row)[1:-1])
    if not inside:
        return Cells.nothing(grid, apart)
    zone, key, weight, first, second, low, high = np.array(inside, dtype=np.float64).T
    return Cells.of_sums(grid, zone, key, weight, first, second, low, high, apart)


def _number(name: str) -> Column:
    return sf.col(quoted(name)).cast("double")
