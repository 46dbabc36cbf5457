"""Transforming: the landed rows of a block, normalised and scored by one pinned model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gmm_core import codec
from gmm_core.errors import InvalidInput
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import Scored
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import rows_in, write_rows
from gmm_core.spark.workers import transform_batches

__all__ = ["transform", "transformed_columns"]

# Of the arrays that a model answers with, by what they hold.
_KINDS = {
    "i": st.IntegerType(),
    "f": st.DoubleType(),
    "b": st.BooleanType(),
    "O": st.StringType(),
}


def transform(
    spark: SparkSession,
    stream: Stream,
    key: str,
    rows: str,
    model: DensityModel,
    version: int,
    target: str,
) -> Scored:
    """Write the rows landed at `rows` with the model's columns, its version, stream and block key.

    Raises
    ------
    InvalidInput : no landed rows, a feature of the model is missing or has a value outside its
        transform's domain, or a landed column has the name of one to be written.
    ServiceUnavailable : Spark failed.
    """
    doing = f"block {key} of {stream.name} cannot be transformed"
    with spark_errors(doing, remedy="land the block again"):
        landed = spark.read.parquet(rows)
        also = stream.scoring.also
        schema = _schema(landed.schema, model, also, doing)
        run = transform_batches(codec.to_dict(model), rows_in(rows), also)
        made = landed.mapInArrow(run, schema)
        stamped = made.select(
            "*",
            sf.lit(version).cast("int").alias("model_version"),
            sf.lit(stream.name).alias("stream"),
            sf.lit(key).alias("block_key"),
        )
        written = write_rows(stamped, target)
        sums = written.agg(sf.count("*"), sf.count_if("anomaly"), sf.avg("log_prob"))
        [(count, anomalies, mean)] = sums.collect()
    return Scored(count, anomalies, math.nan if mean is None else mean, tuple(written.columns))


def _schema(
    landed: st.StructType, model: DensityModel, also: Sequence[str], doing: str
) -> st.StructType:
    """What `transform_batches` gives back for the landed columns."""
    missing = [name for name in model.feature_names if name not in landed.names]
    if missing:
        raise InvalidInput(
            f"{doing}: features of the model are not among the landed columns",
            got=missing,
            bound=", ".join(landed.names),
            remedy="land the block again",
        )
    return st.StructType([*landed.fields, *transformed_columns(model, also)])


def transformed_columns(model: DensityModel, also: Sequence[str] = ()) -> list[st.StructField]:
    """The columns that `transform_batches` appends: those of the model's answer to no rows."""
    made = model.transform({name: [] for name in model.feature_names}, also)
    return [st.StructField(name, _KINDS[values.dtype.kind]) for name, values in made.items()]
