"""Samples of a frame, for what cells cannot do: by strata, with the weights that make it fair, and even."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.spark.cells import stepwise
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import quoted
from gmm_core.squashing.strata import Strata

__all__ = ["even_sample", "stratified_sample"]

_VALUE, _DRAWN = "__value", "__drawn"


def stratified_sample(
    frame: DataFrame, column: str, strata: Strata, *, seed: int = 0, weight: str = "sample_weight"
) -> DataFrame:
    """Rows drawn with the probabilities of their strata, and beside them 1 / probability.

    Weighted fits take the weights as they are. Nothing is computed yet: reading the sample is one
    Spark job. The same seed draws the same rows of the same partitions. Rows without a number in
    the column are in no stratum and are not drawn.

    Raises `InvalidInput` when the frame has a column of the weight's name.
    """
    if weight in frame.columns:
        raise InvalidInput("weight", got=weight, bound="a name that no column has")
    rows = frame.withColumn(_VALUE, sf.col(quoted(column)).cast("double"))
    rows = rows.where(sf.col(_VALUE).isNotNull() & ~sf.isnan(_VALUE))
    rows = rows.withColumn(_DRAWN, stepwise(_VALUE, strata.borders, strata.probability))
    rows = rows.where(sf.rand(seed) < sf.col(_DRAWN))
    return rows.withColumn(weight, 1.0 / sf.col(_DRAWN)).drop(_VALUE, _DRAWN)


def even_sample(frame: DataFrame, columns: Sequence[str], rows: int, *, seed: int = 0) -> Array:
    """(rows, d) values of numeric columns, every row of the frame with the same chance: one Spark job.

    Fewer, when there are not so many; rows with a NULL are left out. The same seed draws the same rows of
    the same partitions. Raises `InvalidInput` for no columns, or one that is not there, and
    `ServiceUnavailable` when Spark failed.
    """
    if not columns:
        raise InvalidInput("columns", got=list(columns), bound="one at least")
    with spark_errors("rows cannot be sampled", remedy="check the columns"):
        values = frame.select(
            *(sf.col(quoted(name)).cast("double").alias(name) for name in columns)
        )
        table = values.dropna().orderBy(sf.rand(seed)).limit(rows).toArrow()
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in table.columns])
