"""Fitting: the rows of landed blocks become block summaries, on the path that suits their size.

- *whole*: the rows in one Python worker. One job, for one block or for many side by side.
- *shards*: cut by a hash of the rows, fitted where they lie; the summaries are pooled and reduced, as
  the blocks of a window are. Then exact EM passes over all rows, a job each (`exact.py`).
- *cells*: of a single numeric feature. One job of Spark SQL squashes the rows (`cells.py`), and the
  fit runs here, on some thousand cells.

Each worker's rows are put in one order first, since the rounding of sums depends on the order: on
the first path the same content gives the same summary to the last digit, on the others so do the
same files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import reduce
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
from gmm_core.errors import BlockmixError, FitFailed, InvalidInput, NotFound
from gmm_core.pipeline.settings.mixtures import FitPath
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.cells import in_feature_space, look_at_files, squash_columns
from gmm_core.spark.exact import refined
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.many import fit_blocks, selected
from gmm_core.spark.workers import ANSWER, BLOCK, SHARD, fit_rows, fit_shard, unpack
from gmm_core.squashing.blocks import fit_block_cells
from gmm_core.summary import BlockSummary

__all__ = ["MAX_ROWS_PER_SHARD", "fit", "fit_many", "path_of"]

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
    doing = f"block {key} of {stream.name} cannot be fitted"
    count, schema = _landed(rows, [f.name for f in stream.feature_list], doing)
    path = path_of(stream, count, max_rows_per_shard)
    with spark_errors(doing, remedy=_REMEDY):
        values = spark.read.schema(schema).parquet(rows)
        if path == "cells":
            return _by_cells(values, rows, stream, key, digest)
        plain = values.select(*selected(stream.feature_list))
        shards = 1 if path == "whole" else max(1, math.ceil(count / max_rows_per_shard))
        fits = _sharded(plain, shards).groupBy(SHARD)
        answers = sorted(fits.applyInArrow(fit_shard(_task(stream, key, digest)), ANSWER).collect())
    if not answers:  # Spark calls no worker for no rows; let the numerics say what that means
        return fit_rows(_task(stream, key, digest), np.empty((0, len(stream.feature_list))))
    for _, _, problem in answers:
        if problem is not None:
            raise unpack(problem)
    summaries = [codec.from_dict(json.loads(text), BlockSummary) for _, text, _ in answers]
    joined = join_shards(summaries, stream.mixture.block_components)
    passes = stream.mixture.exact_passes
    if len(summaries) == 1 or passes == 0 or stream.categorical_features:
        return joined
    return refined(plain, joined, passes, stream.mixture.regularisation, stream.mixture.tolerance)


def fit_many(
    spark: SparkSession,
    stream: Stream,
    blocks: Mapping[str, tuple[str, str]],
    max_rows_per_shard: int = MAX_ROWS_PER_SHARD,
) -> dict[str, BlockSummary | BlockmixError]:
    """Fit several landed blocks: one job for all that are fitted whole, and `fit` for each other.

    `blocks` are folders and digests by key. Returns by key the summary, or what `fit` would raise for
    that block alone; raises `ServiceUnavailable` when Spark failed.
    """
    found: dict[str, BlockSummary | BlockmixError] = {}
    whole: dict[str, tuple[str, st.StructType]] = {}
    for key, (rows, digest) in blocks.items():
        doing = f"block {key} of {stream.name} cannot be fitted"
        try:
            count, schema = _landed(rows, [f.name for f in stream.feature_list], doing)
            if count and path_of(stream, count, max_rows_per_shard) == "whole":
                whole[key] = rows, schema
            else:
                found[key] = fit(spark, stream, key, rows, digest, max_rows_per_shard)
        except (FitFailed, InvalidInput) as error:
            found[key] = error
    if whole:
        found |= _side_by_side(spark, stream, whole, {key: blocks[key][1] for key in whole})
    return {key: found[key] for key in blocks}


def path_of(stream: Stream, rows: int, max_rows_per_shard: int = MAX_ROWS_PER_SHARD) -> FitPath:
    """On which path a block of so many rows is fitted: the stream's, or what suits it best.

    Raises `InvalidInput` where the stream asks for cells, but has several features or a coreset.
    """
    asked = stream.mixture.path
    single = len(stream.feature_list) == 1 and stream.mixture.coreset == 0
    if asked == "cells" and not single:
        raise InvalidInput(
            f"stream {stream.name}: mixture.path",
            got="cells",
            bound="auto, whole or shards, since there are several features or a coreset",
        )
    if asked != "auto":
        return asked
    if rows <= max_rows_per_shard:
        return "whole"
    return "cells" if single else "shards"


def _by_cells(values: DataFrame, rows: str, stream: Stream, key: str, digest: str) -> BlockSummary:
    [feature] = stream.feature_list
    grids = look_at_files(rows, [feature])
    column = values.select(in_feature_space(feature))
    cells = squash_columns(column, [feature.name], grids)[feature.name]
    settings = {**_task(stream, key, digest), "feature": feature, "cells": cells}
    del settings["features"], settings["coreset"]
    return fit_block_cells(**settings)


def _side_by_side(
    spark: SparkSession,
    stream: Stream,
    folders: Mapping[str, tuple[str, st.StructType]],
    digests: Mapping[str, str],
) -> dict[str, BlockSummary | BlockmixError]:
    """All of these blocks in one job."""
    features = stream.feature_list
    with spark_errors(f"blocks of {stream.name} cannot be fitted", remedy=_REMEDY):
        parts = [
            spark.read.schema(schema)
            .parquet(rows)
            .select(sf.lit(key).alias(BLOCK), *selected(features))
            for key, (rows, schema) in folders.items()
        ]
        frame = reduce(DataFrame.unionAll, parts)
    settings = _task(stream, "", "")
    for name in ("stream", "key", "features", "input_digest"):
        del settings[name]
    return fit_blocks(frame, BLOCK, features, stream=stream.name, digests=digests, **settings)


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
    return {
        "stream": stream.name,
        "key": key,
        "features": [feature.to_dict() for feature in stream.feature_list],
        **stream.mixture.of_a_block,
        "input_digest": digest,
        "fit_fingerprint": stream.fit_fingerprint,
    }
