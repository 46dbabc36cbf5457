"""Fitting: the rows of landed blocks become block summaries, on the path that suits their size.

- *whole*: the rows in one Python worker. One job, for one block or for many side by side.
- *shards*: the rows dealt out at random, fitted where they lie; the summaries are pooled and reduced,
  as the blocks of a window are. Then exact EM passes over all rows, a job each (`exact.py`).
- *cells*: of a single numeric feature. One job of Spark SQL squashes the rows (`cells.py`), and the
  fit runs here, on some thousand cells.

On the first two, workers read the files themselves (`landed.py`). The rounding of sums depends on the
rows' order, so a block fitted whole is put in one order first: the same content gives the same summary
to the last digit. On the other paths so do the same files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession

from gmm_core.block import join_shards
from gmm_core.errors import BlockmixError, FitFailed, InvalidInput, NotFound, ServiceUnavailable
from gmm_core.pipeline.settings.mixtures import FitPath
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.cells import in_feature_space, look_at_files, squash_columns
from gmm_core.spark.exact import refined
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.landed import LandedRows, RowGroups, each, landed_rows
from gmm_core.spark.workers import (
    ANSWER,
    DEALT,
    FITTED,
    SHARD,
    answered,
    deal,
    fit_landed,
    fit_shard,
)
from gmm_core.squashing.blocks import fit_block_cells
from gmm_core.summary import BlockSummary

__all__ = ["MAX_ROWS_PER_SHARD", "fit", "fit_many", "path_of"]

MAX_ROWS_PER_SHARD = 2_000_000
_START = 1e-4  # gain in nats per row that ends EM on a shard, where passes over all rows follow
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
    [found] = fit_many(spark, stream, {key: (rows, digest)}, max_rows_per_shard).values()
    if isinstance(found, BlockmixError):
        raise found
    return found


def fit_many(
    spark: SparkSession,
    stream: Stream,
    blocks: Mapping[str, tuple[str, str]],
    max_rows_per_shard: int = MAX_ROWS_PER_SHARD,
) -> dict[str, BlockSummary | BlockmixError]:
    """Fit several landed blocks: one job for all that are fitted whole, and its own for each other.

    `blocks` are folders and digests by key. Returns by key the summary, or what is wrong with that block
    alone, as `fit` raises it; raises `ServiceUnavailable` when Spark failed or files cannot be reached.
    """
    found: dict[str, BlockSummary | BlockmixError] = {}
    whole: list[tuple[dict[str, Any], tuple[RowGroups, ...]]] = []
    for key, (folder, digest) in blocks.items():
        doing, task = f"block {key} of {stream.name} cannot be fitted", _task(stream, key, digest)
        try:
            landed = landed_rows(spark, folder, [f.name for f in stream.feature_list], doing)
            path = path_of(stream, landed.count, max_rows_per_shard) if landed.count else "whole"
            if path == "whole":
                whole.append((task, landed.parts))
                continue
            with spark_errors(doing, remedy=_REMEDY):
                if path == "cells":
                    found[key] = _by_cells(stream, landed, task)
                else:
                    found[key] = _in_shards(stream, landed, task, max_rows_per_shard)
        except (FitFailed, InvalidInput, NotFound) as error:
            found[key] = error
    with spark_errors(f"blocks of {stream.name} cannot be fitted", remedy=_REMEDY):
        found |= _whole(spark, whole)
    for one in found.values():
        if isinstance(one, ServiceUnavailable):  # no fault of the block: to be tried again
            raise one
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


def _whole(
    spark: SparkSession, tasks: Sequence[tuple[dict[str, Any], tuple[RowGroups, ...]]]
) -> dict[str, BlockSummary | BlockmixError]:
    """All of these blocks in one job, a task each."""
    if not tasks:
        return {}
    answers = each(spark, len(tasks)).mapInArrow(fit_landed(tasks), FITTED).collect()
    return {key: answered(text, problem) for key, text, problem in answers}


def _in_shards(stream: Stream, landed: LandedRows, task: dict[str, Any], size: int) -> BlockSummary:
    features, shards = stream.feature_list, max(1, math.ceil(landed.count / size))
    dealt = landed.mapInArrow(deal(features, shards), DEALT).repartitionById(shards, SHARD)
    # With all components: shards are large, and what is joined is reduced in any case.
    settings = {**task, "any_order": False, "fewest": None}
    passes = 0 if stream.categorical_features or shards == 1 else stream.mixture.exact_passes
    if passes:  # what the last digits of a shard's fit would say, all rows will say anyway
        settings["tolerance"] = max(stream.mixture.tolerance, _START)
    fits = dealt.mapInArrow(fit_shard(settings), ANSWER).collect()
    summaries = []
    for text, problem in sorted(fits, key=str):
        one = answered(text, problem)
        if isinstance(one, BlockmixError):
            raise one
        summaries.append(one)
    joined = join_shards(summaries, stream.mixture.block_components)
    if not passes:
        return joined
    return refined(landed, joined, passes, stream.mixture.regularisation, stream.mixture.tolerance)


def _by_cells(stream: Stream, landed: LandedRows, task: dict[str, Any]) -> BlockSummary:
    [feature] = stream.feature_list
    grids = look_at_files(landed.folder, [feature])
    column = landed.frame.select(in_feature_space(feature))
    cells = squash_columns(column, [feature.name], grids)[feature.name]
    settings = {**task, "feature": feature, "cells": cells}
    del settings["features"], settings["coreset"], settings["fewest"]
    return fit_block_cells(**settings)


def _task(stream: Stream, key: str, digest: str) -> dict[str, Any]:
    """What a worker needs besides rows, as plain values."""
    return {
        "stream": stream.name,
        "key": key,
        "features": [feature.to_dict() for feature in stream.feature_list],
        **stream.of_a_block,
        "input_digest": digest,
        "fit_fingerprint": stream.fit_fingerprint,
    }
