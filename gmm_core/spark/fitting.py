"""Fitting: the rows of a landed block become a block summary, in one Spark query.

The fit runs in Spark's Python workers on Arrow data. A block of up to `max_rows_per_shard` rows is
one shard, fitted whole. A larger one is cut into shards by a hash of its rows; their summaries are
pooled and reduced, as the blocks of a window are. Each shard's rows are put in one order first,
since the rounding of sums depends on the order: the same content gives the same summary.
"""

from __future__ import annotations

import json
import math
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st
from pyspark.sql.pandas.types import from_arrow_type

from gmm_core import codec
from gmm_core.block import join_shards
from gmm_core.errors import InvalidInput, NotFound
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.workers import ANSWER, SHARD, fit_rows, fit_shard, unpack
from gmm_core.summary import BlockSummary

__all__ = ["MAX_ROWS_PER_SHARD", "fit"]

MAX_ROWS_PER_SHARD = 2_000_000
_REMEDY = "land the block again"


def fit(
    spark: SparkSession,
    stream: Stream,
    key: str,
    rows: str,
    digest: str,
    max_rows_per_shard: int = MAX_ROWS_PER_SHARD,
) -> BlockSummary:
    """Fit the block mixture to the rows landed at `rows`.

    Raises
    ------
    NotFound : nothing has landed there.
    InvalidInput : the landed files cannot be read or lack a feature.
    InvalidInput, FitFailed : as `fit_block` raised it in the worker, message and all.
    ServiceUnavailable : Spark failed.
    """
    features = stream.feature_list
    names = [feature.name for feature in features]
    task = _task(stream, key, digest)
    doing = f"block {key} of {stream.name} cannot be fitted"
    count, schema = _landed(rows, names, doing)
    shards = max(1, math.ceil(count / max_rows_per_shard))
    with spark_errors(doing, remedy=_REMEDY):
        values = spark.read.schema(schema).parquet(rows)
        plain = values.select(
            *(sf.col(f.name).cast("string" if f.categorical else "double") for f in features)
        )
        fits = _sharded(plain, shards).groupBy(SHARD).applyInArrow(fit_shard(task), ANSWER)
        answers = sorted(fits.collect())
    if not answers:  # Spark calls no worker for no rows; let the numerics say what that means
        return fit_rows(task, np.empty((0, len(names))))
    for _, _, problem in answers:
        if problem is not None:
            raise unpack(problem)
    summaries = [codec.from_dict(json.loads(text), BlockSummary) for _, text, _ in answers]
    return join_shards(summaries, stream.mixture.block_components)


def _landed(folder: str, names: list[str], doing: str) -> tuple[int, st.StructType]:
    """Row count, and the schema of these columns, from the files' footers: no Spark job."""
    system, path = fsspec.core.url_to_fs(folder)
    if not system.isdir(path):
        raise NotFound(f"{doing}: no rows have landed", got=folder, remedy="land the block first")
    try:
        files = ds.dataset(path, filesystem=system, format="parquet")
        count = int(files.count_rows())
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{doing}: {error}", remedy=_REMEDY) from None
    missing = sorted(set(names) - set(files.schema.names))
    if missing:
        raise InvalidInput(
            f"{doing}: features are not among the landed columns",
            got=missing,
            bound=", ".join(files.schema.names),
            remedy=_REMEDY,
        )
    kinds = {name: from_arrow_type(files.schema.field(name).type) for name in names}
    return count, st.StructType([st.StructField(name, kind) for name, kind in kinds.items()])


def _sharded(values: DataFrame, shards: int) -> DataFrame:
    if shards == 1:
        return values.coalesce(1).withColumn(SHARD, sf.lit(0))  # one partition: nothing to shuffle
    shard = sf.pmod(sf.xxhash64(*values.columns), sf.lit(shards)).cast("int")
    return values.withColumn(SHARD, shard).repartitionById(shards, SHARD)


def _task(stream: Stream, key: str, digest: str) -> dict[str, Any]:
    """What a worker needs besides rows, as plain values."""
    settings = stream.mixture
    return {
        "stream": stream.name,
        "key": key,
        "features": [feature.to_dict() for feature in stream.feature_list],
        "k": settings.block_components,
        "covariance_type": settings.covariance_type,
        "regularisation": settings.regularisation,
        "restarts": settings.restarts,
        "max_iterations": settings.max_iterations,
        "tolerance": settings.tolerance,
        "seed": settings.seed,
        "input_digest": digest,
        "fit_fingerprint": stream.fit_fingerprint,
    }
