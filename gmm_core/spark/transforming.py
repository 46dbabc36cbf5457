"""Transforming: the landed rows of a block, normalised and scored by one pinned model."""

from __future__ import annotations

import math

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gmm_core import codec
from gmm_core.errors import InvalidInput
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import Scored
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import write_rows
from gmm_core.spark.workers import transform_batches

__all__ = ["transform"]

_ANSWERS = {
    "component": st.IntegerType(),
    "component_id": st.IntegerType(),
    "log_prob": st.DoubleType(),
    "score": st.DoubleType(),
    "anomaly": st.BooleanType(),
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
        schema = _schema(landed.schema, model, doing)
        made = landed.mapInArrow(transform_batches(codec.to_dict(model)), schema)
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


def _schema(landed: st.StructType, model: DensityModel, doing: str) -> st.StructType:
    """What `transform_batches` gives back for the landed columns."""
    missing = [name for name in model.feature_names if name not in landed.names]
    if missing:
        raise InvalidInput(
            f"{doing}: features of the model are not among the landed columns",
            got=missing,
            bound=", ".join(landed.names),
            remedy="land the block again",
        )
    made = {name: st.DoubleType() for name in model.normalised_names} | _ANSWERS
    fields = [st.StructField(name, kind) for name, kind in made.items()]
    return st.StructType([*landed.fields, *fields])
