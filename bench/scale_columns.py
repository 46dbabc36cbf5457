"""Per-column variational fits: cells in Spark beside RDT's `ClusterBasedNormalizer`, per row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from rdt.transformers import ClusterBasedNormalizer

from bench.scale_measuring import Figure, amounts, classic, telling, thrown_away, timed
from gmm_core.spark.cells import look, squash_columns
from gmm_core.squashing.cells import Cells
from gmm_core.squashing.fits import fit_cells_bayesian
from gmm_core.variational.fit import BayesianResult

__all__ = ["columns", "fitted", "peer_transform"]

_MODES = 10
_PEER_ROWS = 100_000  # more of them take the peer longer per row, not less


def fitted(cells: Cells) -> BayesianResult:
    """As the peer's settings have it: at most 10 modes of a Dirichlet process, prior 0.001."""
    return fit_cells_bayesian(
        cells, _MODES, weight_concentration_prior=0.001, reg_covar=1e-6, max_iter=100
    )


def peer_transform() -> float:
    """Seconds a row that RDT's transform takes, nothing written."""
    frame = amounts(classic(), _PEER_ROWS)
    data = pd.DataFrame({"amount": np.asarray(frame.toPandas()["amount"])})
    peer = ClusterBasedNormalizer(max_clusters=_MODES)
    peer.fit(data.iloc[:10_000], "amount")
    return min(timed(lambda: peer.transform(data))[1] for _ in range(3)) / len(data)


def columns(rows: int) -> Iterator[Figure]:
    """One column made as it is read: look, squash, fit; the peer fits a part of the same rows."""
    spark = classic()
    frame = amounts(spark, rows)
    part = np.asarray(amounts(spark, rows).limit(min(rows, _PEER_ROWS)).toPandas()["amount"])
    peer = ClusterBasedNormalizer(max_clusters=_MODES)
    data = pd.DataFrame({"amount": part})
    _, theirs = timed(lambda: peer.fit(data, "amount"))
    # The JVM and the kernels compile.
    fitted(squash_columns(amounts(spark, 100_000), ["amount"])["amount"])
    with telling(spark, "made, then made and squashed"):
        _, made = timed(lambda: thrown_away(frame))
        grids, looked = timed(lambda: look(frame, ["amount"]))
        cells, squashed = timed(lambda: squash_columns(frame, ["amount"], grids)["amount"])
    result, fit_seconds = timed(lambda: fitted(cells))
    ours = looked + squashed + fit_seconds
    apart = max(ours - made, 1e-9)
    own = float(peer._bgm_transformer.score(part.reshape(-1, 1)))  # noqa: SLF001 - it shows no score
    better = float(result.mixture.log_prob(part.reshape(-1, 1)).mean()) - own
    yield Figure(
        f"variational fit of a column, {rows:,} rows",
        f"{ours / rows * 1e9:.0f} ns a row ({looked:.2f} s look, {squashed:.2f} s squash, "
        f"{1e3 * fit_seconds:.0f} ms fit of {len(cells)} cells)",
        f"{theirs / len(part) * 1e9:,.0f} ns a row (RDT, {len(part):,} rows, {theirs:.1f} s)",
        (theirs / len(part)) / (ours / rows),
        "1,000 times",
        f"log-likelihood of RDT's rows {better:+.5f} nats a row beside RDT's own fit to them; "
        f"{result.iterations} iterations; rows are made while they are read, which takes {made:.2f} s by "
        f"itself: without it {apart / rows * 1e9:.0f} ns a row, "
        f"{(theirs / len(part)) / (apart / rows):,.0f} times",
    )
