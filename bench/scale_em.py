"""Full-covariance EM over a frame: shards and exact passes beside Spark ML's `GaussianMixture`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
from pyspark.ml.clustering import GaussianMixture as Peer
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from bench.scale_measuring import Figure, classic, timed
from gmm_core.mixture import Mixture
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.fitting import fit
from gmm_core.summary import BlockSummary

__all__ = ["distributed", "passes"]

_D, _K = 10, 10
_NAMES = tuple(f"x{i}" for i in range(_D))
_SHARDS = 4
_BAR = 10


def distributed(rows: int) -> Iterator[Figure]:
    """Both from nothing, on the same files; the peer goes on until it has what we have, or ends."""
    spark = classic()
    with tempfile.TemporaryDirectory() as folder:
        frame = _written(spark, rows, f"{folder}/rows")
        ours, seconds = timed(lambda: _ours(spark, f"{folder}/rows", rows, 8))
        vectors = VectorAssembler(inputCols=list(_NAMES), outputCol="features").transform(frame)
        yield from _beside(vectors.select("features"), ours, seconds, rows)


def _beside(vectors: DataFrame, ours: BlockSummary, seconds: float, rows: int) -> Iterator[Figure]:
    """The peer at 10, 20, 40 ... iterations, until its log-likelihood is ours or its time is past the bar."""
    print(f"ours: {seconds:.1f} s, {ours.fit.log_likelihood:.4f} nats a row", flush=True)
    iterations = 10
    while True:
        peer = Peer(k=_K, maxIter=iterations, tol=0.0, seed=1, aggregationDepth=2)
        model, spent = timed(lambda peer=peer: peer.fit(vectors))
        theirs = model.summary.logLikelihood / rows
        print(f"peer, {iterations} iterations: {spent:.1f} s, {theirs:.4f} nats", flush=True)
        if theirs >= ours.fit.log_likelihood - 1e-3 or spent >= _BAR * seconds:
            break
        iterations *= 2
    found = ours.fit.log_likelihood
    reached = "reached" if theirs >= found - 1e-3 else "not reached"
    yield Figure(
        f"full EM, {rows:,} x {_D}, k {_K}",
        f"{seconds:.1f} s, {found:.4f} nats a row ({ours.fit.status})",
        f"{spent:.1f} s, {theirs:.4f} nats a row (Spark ML, {iterations} iterations)",
        spent / seconds,
        f"{_BAR} times",
        f"our log-likelihood was {reached} by the peer",
    )


def passes(rows: int) -> Iterator[Figure]:
    """What each exact pass brings after the shards were joined."""
    spark = classic()
    with tempfile.TemporaryDirectory() as folder:
        _written(spark, rows, f"{folder}/rows")
        best = None
        for count in (40, 20, 10, 5, 3, 1):
            summary, seconds = timed(lambda n=count: _ours(spark, f"{folder}/rows", rows, n))
            best = summary.fit.log_likelihood if best is None else best
            yield Figure(
                f"{count} exact passes, {rows:,} rows",
                f"{best - summary.fit.log_likelihood:.6f} nats a row below 40 passes",
                note=f"{seconds:.1f} s in all",
            )


def _ours(spark: SparkSession, folder: str, rows: int, exact: int) -> BlockSummary:
    stream = Stream.model_validate(
        {
            "stream": "scale",
            "start": "2024-01-01",
            "source": {"path": "unused", "time": "at", "columns": {n: n for n in _NAMES}},
            "features": {name: {"minimum": -1e9, "maximum": 1e9} for name in _NAMES},
            "mixture": {
                "k": _K, "block_k": _K, "restarts": 1, "exact_passes": exact, "path": "shards",
                "regularisation": 1e-6, "tolerance": 1e-7,
            },
            "window": {"blocks": 2},
        }
    )  # fmt: skip
    return fit(spark, stream, "2024-01-01", folder, "", max_rows_per_shard=-(-rows // _SHARDS))


def _written(spark: SparkSession, rows: int, folder: str) -> DataFrame:
    """Rows of correlated, overlapping Gaussians as Parquet, from seeded expressions."""
    truth = _truth()
    lower = np.linalg.cholesky(truth.covariances)
    drawn = spark.range(0, rows, 1, 8).withColumn("c", (sf.rand(1) * _K).cast("int"))
    drawn = drawn.withColumns({f"z{i}": sf.randn(i + 2) for i in range(_D)})
    tables = {}
    for i, name in enumerate(_NAMES):
        entries = [_of(lower[:, i, j]) * sf.col(f"z{j}") for j in range(i + 1)]
        tables[name] = sum(entries, _of(truth.means[:, i])).alias(name)
    drawn.select(*tables.values()).write.parquet(folder)
    return spark.read.parquet(folder)


def _of(values: np.ndarray) -> sf.Column:  # type: ignore[name-defined]
    """The entry of the row's component."""
    return sf.get(sf.array(*(sf.lit(float(value)) for value in values)), sf.col("c"))


def _truth() -> Mixture:
    rng = np.random.default_rng(0)
    turns = np.linalg.qr(rng.normal(size=(_K, _D, _D)))[0]
    roots = turns * np.exp(rng.uniform(-0.7, 0.7, size=(_K, 1, _D)))
    covariances = roots @ roots.transpose(0, 2, 1)
    return Mixture(np.full(_K, 1 / _K), 1.5 * rng.normal(size=(_K, _D)), covariances)
