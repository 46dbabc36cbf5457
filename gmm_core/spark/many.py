"""Many blocks at once: one query fits each group of rows in a worker, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from gmm_core.errors import BlockmixError, InvalidInput
from gmm_core.features import Feature
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.files import quoted
from gmm_core.spark.workers import BLOCK, FITTED, answered, fit_group
from gmm_core.summary import BlockSummary

__all__ = ["fit_blocks", "selected"]


def fit_blocks(
    frame: DataFrame,
    key: str,
    features: Sequence[Feature],
    *,
    stream: str,
    digests: Mapping[str, str] | None = None,
    **settings: Any,
) -> dict[str, BlockSummary | BlockmixError]:
    """Fit a block mixture to the rows of each key: one query for all of them.

    Each block is fitted whole, in one worker's memory; the rows of a key are in one worker at a time.

    Parameters
    ----------
    frame : the features' columns in source units, and the key's.
    key : the column that says which block a row is of; compared as text.
    stream, settings : as `fit_block` takes them; k at least.
    digests : of the blocks' inputs, by key.

    Returns
    -------
    By key, in order: the summary, or the error that `fit_block` raised for this block alone.

    Raises
    ------
    InvalidInput : a column is not there, or a row has no key.
    ServiceUnavailable : Spark failed.
    """
    plain = [feature.to_dict() for feature in features]
    task = {"stream": stream, "key": "", "features": plain, "input_digest": "", **settings}
    with spark_errors("blocks cannot be fitted", remedy="check columns and rows"):
        label = sf.col(quoted(key)).cast("string").alias(BLOCK)
        rows = frame.select(label, *selected(features))
        # A number that is said stays: adaptive execution would pack small blocks into one worker.
        parts = int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
        groups = rows.repartition(parts, BLOCK).groupBy(BLOCK)
        answers = groups.applyInArrow(fit_group(task, dict(digests or {})), FITTED).collect()
    if any(block is None for block, _, _ in answers):
        raise InvalidInput(f"rows without a block key in column {key!r}", remedy="drop these rows")
    return {block: answered(text, problem) for block, text, problem in sorted(answers)}


def selected(features: Sequence[Feature]) -> list[Any]:
    """The features' columns as workers take them: doubles, and text."""
    kinds = {True: "string", False: "double"}
    return [sf.col(quoted(f.name)).cast(kinds[f.categorical]).alias(f.name) for f in features]
