"""A generated data set as files: its rows by day, the truth they were drawn from, a stream file.

`<target>/rows/day=.../*.parquet`, `<target>/truth.json`, `<target>/<name>.yaml`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import fsspec
import yaml
from pydantic import ValidationError
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.pipeline.streams import Stream, first_problem
from gmm_core.spark.failures import spark_errors
from gmm_core.spark.generating import FIRST_DAY, generate
from gmm_core.synthetic import TRANSACTIONS, Recipe

__all__ = ["declaration", "publish"]

_REACH = 20.0  # deviations of the whole mixture: farther out than any injected anomaly


def publish(
    spark: SparkSession,
    name: str,
    target: str,
    rows: int,
    recipe: Recipe = TRANSACTIONS,
    *,
    days: int = 1,
    start: dt.date = FIRST_DAY,
    seed: int = 0,
) -> str:
    """Write the data set into a new folder `target`, and return the path of its stream file.

    The truth comes last: a folder without it is of a run that did not end.

    Raises
    ------
    InvalidInput : the folder is there already, the name is none for a stream, or as `generate`.
    ServiceUnavailable : Spark failed.
    """
    system, folder = fsspec.core.url_to_fs(target)
    if system.exists(folder):
        raise InvalidInput(
            "the folder to generate into is there already",
            got=target,
            bound="a new folder",
            remedy="name another, or delete it",
        )
    declared = declaration(name, f"{target}/rows", recipe, days=days, start=start)
    frame = generate(spark, rows, recipe, days=days, start=start, seed=seed)
    with spark_errors(f"rows cannot be written to {target}", remedy="name another folder"):
        frame.withColumn("day", sf.to_date("at")).write.partitionBy("day").parquet(f"{target}/rows")
    truth = {
        "recipe": recipe.to_dict(),
        "rows": rows,
        "days": days,
        "start": str(start),
        "seed": seed,
    }
    file = f"{folder}/{name}.yaml"
    system.pipe_file(file, yaml.safe_dump(declared, sort_keys=False).encode())
    system.pipe_file(f"{folder}/truth.json", json.dumps(truth, indent=1).encode())
    return f"{target}/{name}.yaml"


def declaration(
    name: str, path: str, recipe: Recipe, *, days: int, start: dt.date
) -> Mapping[str, Any]:
    """The content of a stream file for generated rows; raises `InvalidInput` for a wrong name."""
    last = start + dt.timedelta(days=days - 1)
    columns = [*(feature.name for feature in recipe.features), "true_component", "injected"]
    declared = {
        "stream": name,
        "description": "Generated rows; truth.json beside them tells what they were drawn from",
        "start": str(start),
        "end": str(last),
        "source": {
            "format": "parquet",
            "path": path,
            "time": "at",
            "columns": {column: column for column in columns},
        },
        "features": dict(_bounds(recipe, days)),
        "mixture": {"k": recipe.mixture.n_components},
        "window": {"blocks": 7},
    }
    try:
        Stream.model_validate(declared)
    except ValidationError as error:
        key, got, allowed = first_problem(error)
        raise InvalidInput(f"a stream for generated rows: {key}", got=got, bound=allowed) from None
    return declared


def _bounds(recipe: Recipe, days: int) -> dict[str, dict[str, Any]]:
    """Features with the values they can have, in source units."""
    deviations = recipe.mixture.covariance().diagonal() ** 0.5
    made = {}
    for index, feature in enumerate(recipe.features):
        ends = [recipe.on(day).mean()[index] for day in (0, days - 1)]
        reach = _REACH * deviations[index]
        low, high = _in_source_units(feature, min(ends) - reach, max(ends) + reach)
        made[feature.name] = {"transform": feature.transform, "minimum": low, "maximum": high}
    return made


def _in_source_units(feature: Feature, low: float, high: float) -> tuple[float, float]:
    ends = feature.inverse([low, high])
    floor = 0.0 if feature.transform in ("sqrt", "log1p") else -float("inf")
    return max(float(f"{ends[0]:.3g}"), floor), float(f"{ends[1]:.3g}")
