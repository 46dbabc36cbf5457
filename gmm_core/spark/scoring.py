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
from gmm_core.spark.files import rows_in
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
    with spark_errors(
        f"block {key} of {stream.name} cannot be scored", remedy="land the block again"
    ):
        landed = spark.read.parquet(rows)
        # A label that was declared after these rows had landed is not among them: then none is measured.
        label = stream.health.label if stream.health.label in landed.columns else None
        names = [*models[0].feature_names, *([label] if label else [])]
        landed = landed.select(*(sf.col(name) for name in names))
        plain = [codec.to_dict(model) for model in models]
        scored = landed.mapInArrow(score_batches(plain, label, rows_in(rows)), "scores string")
        answers = scored.collect()
    parts = [Scores.from_dict(json.loads(answer["scores"])) for answer in answers]
    return sum(parts, Scores.empty(len(models)))
