"""The classic session, in a process of its own: same answers as through Spark Connect, job by job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gmm_core.spark.engine import SparkEngine

KEY = "2017-03-14"
PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys, time
from pathlib import Path
from gmm_core.errors import BlockmixError
from gmm_core.model import DensityModel
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.spark.engine import SparkEngine

folder, key = Path(sys.argv[1]), sys.argv[2]
baskets = load_stream("baskets", Path("dags/streams"))
engine, sharded = SparkEngine(master="local[2]"), SparkEngine(master="local[2]", max_rows_per_shard=100)
with engine._spark() as spark:
    context = spark.sparkContext
tracker, answer = context.statusTracker(), {"jobs": {}}

def counted(name, work):
    context.setJobGroup(name, name)
    result = work()
    answer["jobs"][name] = len(tracker.getJobIdsForGroup(name))
    return result

landing = counted("land", lambda: engine.land(baskets, key, str(folder / "rows")))
summary = counted("fit", lambda: engine.fit(baskets, key, str(folder / "rows"), landing.digest))
joined = counted("fit in shards", lambda: sharded.fit(baskets, key, str(folder / "rows"), landing.digest))
model = DensityModel.build("baskets", baskets.feature_list, summary.mixture, 0.95)
scored = counted("transform", lambda: engine.transform(
    baskets, key, str(folder / "rows"), model, 1, str(folder / "out")))
source = baskets.source.model_copy(update={"columns": {**baskets.source.columns, "amount": "sum(x"}})
try:
    engine.land(baskets.model_copy(update={"source": source}), key, str(folder / "bad"))
except BlockmixError as error:
    answer["error"] = [type(error).__name__, str(error)]
try:
    engine.land(baskets, key, "/proc/no/such/place")
except BlockmixError as error:
    answer["no place"] = [type(error).__name__, str(error)]
answer |= {"landing": [landing.rows, landing.left_out, landing.digest], "fit": summary.digest,
           "joined": joined.digest, "scored": [scored.rows, scored.anomalies]}
Path(sys.argv[3]).write_text(json.dumps(answer))
"""


def clean_environment(**more):
    """This environment without what Spark Connect left in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
    return kept | more


@pytest.fixture(scope="module")
def classic(tmp_path_factory, quick_jvm):
    folder = tmp_path_factory.mktemp("classic")
    # A stranger's Python on PATH must not become the workers' Python.
    outcome = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), KEY, str(folder / "answer.json")],
        cwd=PROJECT, env=clean_environment(PYSPARK_PYTHON="/bin/false", **quick_jvm),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr[-4000:]
    return json.loads((folder / "answer.json").read_text())


def test_the_same_rows_and_the_same_fit(classic, engine, server, baskets, landed):
    folder, landing = landed
    assert classic["landing"] == [landing.rows, landing.left_out, landing.digest]
    assert classic["fit"] == engine.fit(baskets, KEY, folder, landing.digest).digest
    sharded = SparkEngine(server.remote, max_rows_per_shard=100)
    assert classic["joined"] == sharded.fit(baskets, KEY, folder, landing.digest).digest
    assert classic["scored"][0] == landing.rows


def test_the_number_of_spark_jobs(classic):
    assert classic["jobs"] == {
        # the source's schema; shuffle and write; the digest in two; the count before having in three
        "land": 8,
        # a block that one worker holds is fitted without a shuffle
        "fit": 1,
        # the shuffle into shards, the fits; eight exact passes, and one under their outcome
        "fit in shards": 2 + 9,
        # the landed schema, the write, the sums over what was written in two
        "transform": 4,
    }


def test_without_java_the_remedy_is_to_install_it():
    program = (
        "from gmm_core.spark.engine import SparkEngine; SparkEngine(master='local[1]').read('/tmp')"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=clean_environment(JAVA_HOME="/nowhere"),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    last = outcome.stderr.strip().splitlines()[-1]
    assert "ServiceUnavailable: Spark did not start with master 'local[1]'" in last
    assert "Install Java 17 or newer" in last


def test_errors_are_the_same_sentences(classic):
    kind, text = classic["error"]
    assert kind == "InvalidInput"
    assert text.startswith("stream baskets: source.columns.amount: Syntax error")
    kind, text = classic["no place"]
    assert kind == "ServiceUnavailable"
    assert "Spark failed (Mkdirs failed" in text
    assert "\n" not in text
