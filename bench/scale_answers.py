"""Transform in several features: compiled answers beside numpy's, in this process and as a Spark job."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import types as st

from bench.scale_measuring import Figure, classic, thrown_away, timed
from gmm_core import codec
from gmm_core.evaluation import parts_of
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.transforming import transform, transformed_columns
from gmm_core.spark.workers import transform_batches

__all__ = ["answers", "random_model"]

_K = 10
_BATCH = 10_000  # rows that a Spark worker is given at a time
_TIMES = 3
_VERB_D = 5


def answers(rows: int) -> Iterator[Figure]:
    """Nanoseconds a row, numpy first: `DensityModel.transform` on batches, then the jobs."""
    spark = classic()
    for d in (2, 5, 10):
        model = random_model(d)
        with tempfile.TemporaryDirectory(prefix="blockmix-scale-") as folder:
            drawn = model.mixture.sample(rows, seed=1)
            columns = {f"x{i}": drawn[:, i].copy() for i in range(d)}
            yield _in_process(model, columns, d)
            path = f"{folder}/rows"
            Path(path).mkdir()
            pq.write_table(pa.table(columns), f"{path}/0.parquet", row_group_size=rows // 8)
            del drawn, columns
            yield _as_job(spark, model, path, rows)
            if d == _VERB_D:
                yield _whole_verb(spark, model, path, rows, f"{folder}/out")


def _in_process(model: DensityModel, columns: dict[str, np.ndarray], d: int) -> Figure:
    parts = [
        {name: values[at : at + _BATCH] for name, values in columns.items()}
        for at in range(0, 10 * _BATCH, _BATCH)
    ]

    def work(whole: int) -> None:
        with parts_of(whole):
            for part in parts:
                model.transform(part)

    many = 10 * _BATCH
    numpy, compiled = _paired(partial(work, 0), partial(work, 10**9))
    with parts_of(10**9):
        ours = model.transform(parts[0])
    theirs = model.transform(parts[0])
    off = max(float(np.abs(ours[name] - theirs[name]).max()) for name in ("log_prob", "score"))
    return Figure(
        f"transform of {_BATCH:,} x {d}, k {_K}, one process",
        f"{compiled / many * 1e9:.0f} ns a row",
        f"{numpy / many * 1e9:.0f} ns a row (numpy)",
        numpy / compiled,
        note=f"largest difference of log-densities and scores {off:.0e}; components differ in "
        f"{int((ours['component'] != theirs['component']).sum())} rows",
    )


def _as_job(spark: SparkSession, model: DensityModel, path: str, rows: int) -> Figure:
    landed = spark.read.parquet(path)
    schema = st.StructType([*landed.schema.fields, *transformed_columns(model)])

    def work(whole: int) -> None:
        made = landed.mapInArrow(transform_batches(codec.to_dict(model), whole), schema)
        thrown_away(made)

    work(rows)
    numpy, compiled = _paired(partial(work, 0), partial(work, 10**9))
    _, through = timed(lambda: _through(spark, path))
    return Figure(
        f"Spark job of {rows:,} x {len(model.features)}, nothing written",
        f"{compiled / rows * 1e9:.0f} ns a row",
        f"{numpy / rows * 1e9:.0f} ns a row (numpy)",
        numpy / compiled,
        note=f"{through / rows * 1e9:.0f} ns of it bring rows to the workers and back",
    )


def _through(spark: SparkSession, path: str) -> None:
    """The rows through Python workers that do nothing."""
    landed = spark.read.parquet(path)
    there = landed.mapInArrow(lambda batches: batches, landed.schema)
    thrown_away(there)


def _whole_verb(
    spark: SparkSession, model: DensityModel, path: str, rows: int, target: str
) -> Figure:
    stream = Stream.model_validate(
        {
            "stream": "scale",
            "start": "2024-01-01",
            "source": {"path": "unused", "time": "at", "columns": {"x0": "x0"}},
            "features": {"x0": {"minimum": -1e9, "maximum": 1e9}},
            "mixture": {"k": _K},
            "window": {"blocks": 2},
        }
    )
    _, seconds = timed(lambda: transform(spark, stream, "2024-01-01", path, model, 1, target))
    return Figure(
        f"the verb: {rows:,} x {len(model.features)} written and counted",
        f"{seconds / rows * 1e9:.0f} ns a row",
    )


def _paired(one: partial[None], other: partial[None]) -> tuple[float, float]:
    """Least seconds of both, in turn."""
    one(), other()
    times = [(timed(one)[1], timed(other)[1]) for _ in range(_TIMES)]
    first, second = zip(*times, strict=True)
    return min(first), min(second)


def random_model(d: int) -> DensityModel:
    """Ten correlated, overlapping Gaussians."""
    rng = np.random.default_rng(0)
    turns = np.linalg.qr(rng.normal(size=(_K, d, d)))[0]
    roots = turns * np.exp(rng.uniform(-0.7, 0.7, size=(_K, 1, d)))
    mixture = Mixture(
        np.full(_K, 1 / _K), 1.5 * rng.normal(size=(_K, d)), roots @ roots.transpose(0, 2, 1)
    )
    return DensityModel.build("scale", [Feature(f"x{i}") for i in range(d)], mixture, 0.99)
