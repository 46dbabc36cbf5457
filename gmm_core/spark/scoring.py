"""Scoring: what several models say of a block's landed rows, summed up in the workers; one job."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from gmm_core import codec
from gmm_core.health.scores import Scores
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.workers import score_batches

__all__ = ["score"]


def score(
    spark: SparkSession, stream: Stream, key: str, rows: str, models: Sequence[DensityModel]
) -> Scores:
    """Scores of the rows landed at `rows`; a partition sends back a few kilobytes, whatever its rows.

    Raises
    ------
    InvalidInput : no models, models of different features, or rows without one of these.
    ServiceUnavailable : Spark failed.
    """
    if not models:
        return Scores.of(models, {})  # says what is missing
    label = stream.health.label
    names = [*models[0].feature_names, *([label] if label else [])]
    with spark_errors(
        f"block {key} of {stream.name} cannot be scored", remedy="land the block again"
    ):
        landed = spark.read.parquet(rows).select(*(sf.col(name) for name in names))
        plain = [codec.to_dict(model) for model in models]
        answers = landed.mapInArrow(score_batches(plain, label), "scores string").collect()
    parts = [Scores.from_dict(json.loads(answer["scores"])) for answer in answers]
    return sum(parts, Scores.empty(len(models)))
