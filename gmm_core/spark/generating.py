"""Generating: rows of a recipe, at any size, each decided by its number and the seed alone.

A row's draws are hashes of its number, so the same seed gives the same rows whatever the number of
partitions, and any range of rows can be had by itself. All of it is Spark SQL: no row meets Python.
"""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import cholesky
from gmm_core.errors import InvalidInput
from gmm_core.features import TransformName
from gmm_core.spark.draws import normals, uniform
from gmm_core.synthetic import TRANSACTIONS, Recipe

__all__ = ["FIRST_DAY", "INJECTED", "generate"]

FIRST_DAY = dt.date(2024, 1, 1)
INJECTED = -1  # true_component of an anomaly
_ROWS_PER_PARTITION = 1_000_000
_DAY = 86_400_000_000  # microseconds


def generate(
    spark: SparkSession,
    rows: int,
    recipe: Recipe = TRANSACTIONS,
    *,
    days: int = 1,
    start: dt.date = FIRST_DAY,
    seed: int = 0,
    partitions: int | None = None,
) -> DataFrame:
    """A frame of made-up rows; nothing is computed yet, and columns not asked for cost nothing.

    Columns: `row_id` from 0, `at` (timestamp, UTC), one double per feature in source units,
    `true_component` (int, `INJECTED` for an anomaly), `injected` (boolean).

    Parameters
    ----------
    rows : how many; row i is of day i * days // rows, so days differ by one row at most.
    days, start : how many days, and the first of them.
    seed : 0 or more; another seed, other rows.
    partitions : of the frame, of neighbouring rows each; one per million rows when left out.

    Raises
    ------
    InvalidInput : a number is out of its bounds.

    Source: normal pairs by Box and Muller 1958, hashes by xxHash64.
    """
    _check(rows=rows, days=days, partitions=1 if partitions is None else partitions, seed=seed + 1)
    if partitions is None:
        partitions = math.ceil(rows / _ROWS_PER_PARTITION)
    numbers = spark.range(0, rows, 1, partitions).withColumnRenamed("id", "row_id")
    draws = numbers.withColumns(
        {
            "day": sf.expr(f"row_id * {days} div {rows}") if days > 1 else sf.lit(0),
            "share": uniform(seed, "component", "row_id"),
            **normals(recipe.mixture.n_features, seed, "row_id"),
        }
    )
    # A step of its own, or every comparison would hash the row again.
    drawn = draws.withColumns(
        {"which": _which(recipe), "injected": sf.col("share") < recipe.anomalies}
    )
    named = zip(recipe.features, _values(recipe), strict=True)
    return drawn.select(
        "row_id",
        _time(recipe, start, seed).alias("at"),
        *(_inverse(value, feature.transform).alias(feature.name) for feature, value in named),
        sf.when(sf.col("injected"), INJECTED).otherwise(sf.col("which")).alias("true_component"),
        "injected",
    )


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if not 1 <= value <= 10**12:
            raise InvalidInput(f"{name} to generate", got=value, bound="1 to 10^12")


def _which(recipe: Recipe) -> Column:
    """The component whose part of [anomalies, 1] the share falls into; k for an anomaly, below."""
    k = recipe.mixture.n_components
    bounds = recipe.anomalies + (1 - recipe.anomalies) * np.cumsum(recipe.mixture.weights)
    chosen = sf.lit(k - 1)
    for index, upper in reversed(list(enumerate(bounds[:-1]))):
        chosen = sf.when(sf.col("share") < float(upper), index).otherwise(chosen)
    return sf.when(sf.col("share") < recipe.anomalies, k).otherwise(chosen)


def _values(recipe: Recipe) -> list[Column]:
    """Each feature in feature space: mean + L z + drift, of the row's component.

    An anomaly is of one Gaussian more, that of the whole mixture, with `distance` added to the
    length of z: so far from the mean of all, whatever the direction.
    """
    mixture, d = recipe.mixture, recipe.mixture.n_features
    means = np.vstack([mixture.means, mixture.mean()])
    lower = cholesky(np.concatenate([mixture.full_covariances(), mixture.covariance()[None]]))
    length = sf.sqrt(sum((sf.col(f"z{j}") * sf.col(f"z{j}") for j in range(d)), sf.lit(0.0)))
    stretch = sf.when(sf.col("injected"), 1.0 + recipe.distance / length).otherwise(1.0)
    made = []
    for i in range(d):
        noise = sf.lit(0.0)
        for j in range(i + 1):
            if lower[:, i, j].any():
                noise = noise + _looked_up(lower[:, i, j]) * sf.col(f"z{j}")
        made.append(
            _looked_up(means[:, i]) + noise * stretch + sf.col("day") * float(recipe.drift[i])
        )
    return made


def _looked_up(table: Array) -> Column:
    """The entry of a table (k + 1,) that belongs to the row."""
    return sf.get(sf.array(*(sf.lit(float(value)) for value in table)), sf.col("which"))


def _time(recipe: Recipe, start: dt.date, seed: int) -> Column:
    """`Recipe.clock` of a uniform share, on the row's day."""
    share = uniform(seed, "clock", "row_id")
    turned = share + sf.sin(share * (2 * math.pi)) * (recipe.season / (2 * math.pi))
    clock = sf.pmod(turned + (recipe.peak / 24 - 0.5), sf.lit(1.0))
    first = (start - dt.date(1970, 1, 1)).days * _DAY
    micros = sf.least(sf.floor(clock * float(_DAY)), sf.lit(_DAY - 1))
    return sf.timestamp_micros(sf.lit(first) + sf.col("day") * _DAY + micros)


def _inverse(value: Column, transform: TransformName) -> Column:
    """Feature space to source units, as `Feature.inverse`."""
    if transform == "log":
        return sf.exp(value)
    if transform == "log1p":
        return sf.expm1(value)
    if transform == "sqrt":
        return sf.pow(sf.greatest(value, sf.lit(0.0)), 2.0)
    return value
