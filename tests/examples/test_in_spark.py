"""In a real Spark: examples/spark_job.py scores a table, and Spark ML reads and writes our mixtures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gmm_core.export.spark_ml import from_spark_ml, to_spark_ml
from gmm_core.mixture import Mixture

PROJECT = Path(__file__).resolve().parents[2]

# One JVM for both, in a process of its own: this one may have a Spark Connect session.
PROGRAM = """
import json, runpy, sys
from pathlib import Path
script, folder, *arguments = sys.argv[1:]
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")

import numpy as np
from pyspark.ml.clustering import GaussianMixture, GaussianMixtureModel
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

spark, folder = SparkSession.getActiveSession(), Path(folder)
X = np.load(folder / "rows.npy")
rows = spark.createDataFrame([(Vectors.dense(row),) for row in X], ["features"])

def told(model):
    found = model.transform(rows).select("prediction", "probability").collect()
    return [[row[0], row[1].toArray().tolist()] for row in found]

ours = GaussianMixtureModel.load(str(folder / "ours"))
theirs = GaussianMixture(k=2, seed=1, maxIter=3).fit(rows)
theirs.save(str(folder / "theirs"))
(folder / "told.json").write_text(json.dumps({"ours": told(ours), "theirs": told(theirs)}))
"""
QUIET = (
    "--master local[1] --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 "
    "--conf spark.driver.bindAddress=127.0.0.1 --conf spark.sql.shuffle.partitions=1 "
    "--driver-java-options -XX:TieredStopAtLevel=1 pyspark-shell"
)


@dataclass(frozen=True)
class Ran:
    folder: Path
    mixture: Mixture
    rows: np.ndarray
    told: dict[str, Any]
    output: str


@pytest.fixture(scope="module")
def ran(registered, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("spark")
    mixture = registered.model.mixture
    rows = mixture.sample(60, seed=1)
    np.save(folder / "rows.npy", rows)
    to_spark_ml(mixture, folder / "ours")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(PROJECT / "examples" / "spark_job.py"), str(folder),
         "--tracking-uri", registered.uri, "--stream", "orders", "--rows", str(registered.file),
         "--out", str(folder / "scored")],
        cwd=folder, capture_output=True, text=True, check=False, timeout=240,
        env={
            # Spark Connect, if other tests used it here, left its mode in the environment.
            **{name: value for name, value in os.environ.items() if not name.startswith("SPARK_")},
            "PYSPARK_SUBMIT_ARGS": QUIET, "PYSPARK_PYTHON": sys.executable,
            "MLFLOW_DISABLE_TELEMETRY": "true", "SPARK_LOCAL_IP": "127.0.0.1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads((folder / "told.json").read_text())
    return Ran(folder, mixture, rows, told, done.stdout)


def test_the_job_scores_every_row_with_the_pinned_version(ran, registered):
    assert "scored with version 1 of orders" in ran.output
    scored = pd.read_parquet(ran.folder / "scored")
    assert (scored["model_version"] == 1).all()
    model = registered.model
    np.testing.assert_allclose(scored["score"], model.output(scored, "score")["score"], rtol=1e-12)
    words = model.output(scored, "explanation")["explanation"]
    assert scored["explanation"].tolist() == words.tolist()
    assert len(scored) == len(registered.rows)


def test_spark_ml_computes_with_our_mixture(ran):
    component, shares = zip(*ran.told["ours"], strict=True)
    np.testing.assert_array_equal(component, ran.mixture.component(ran.rows))
    # Spark adds 2e-16 to every density.
    np.testing.assert_allclose(shares, ran.mixture.responsibilities(ran.rows), atol=1e-6)


def test_and_we_with_what_it_fitted(ran):
    mixture = from_spark_ml(ran.folder / "theirs")
    component, shares = zip(*ran.told["theirs"], strict=True)
    np.testing.assert_array_equal(component, mixture.component(ran.rows))
    np.testing.assert_allclose(shares, mixture.responsibilities(ran.rows), atol=1e-6)
