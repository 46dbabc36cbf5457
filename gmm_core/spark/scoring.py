"""Scoring: what several models say of a block's landed rows, summed up in the workers; one job."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql import SparkSession

from gmm_core import codec
from gmm_core.health.scores import Scores
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.landed import landed_rows
from gmm_core.spark.workers import score_batches

__all__ = ["score"]


def score(
    spark: SparkSession, stream: Stream, key: str, rows: str, models: Sequence[DensityModel]
) -> Scores:
    """Scores of the rows landed at `rows`; a partition sends back a few kilobytes, whatever its rows.

    Raises
    ------
    NotFound : nothing has landed there.
    InvalidInput : no models, models of different features, or rows without one of these.
    ServiceUnavailable : Spark failed.
    """
    if not models:
        return Scores.of(models, {})  # says what is missing
    doing = f"block {key} of {stream.name} cannot be scored"
    # A label that was declared after these rows had landed is not among them: then none is measured.
    wanted = [stream.health.label] if stream.health.label else []
    landed = landed_rows(spark, rows, models[0].feature_names, doing, also=wanted)
    label = next((name for name in wanted if name in landed.columns.names), None)
    plain = [codec.to_dict(model) for model in models]
    with spark_errors(doing, remedy="land the block again"):
        scored = landed.mapInArrow(score_batches(plain, label, landed.count), "scores string")
        answers = scored.collect()
    parts = [Scores.from_dict(json.loads(answer["scores"])) for answer in answers]
    return sum(parts, Scores.empty(len(models)))
