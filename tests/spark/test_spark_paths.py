"""The three fit paths, job by job in a classic session of its own, and as a stream chooses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmm_core.block import fit_block
from gmm_core.errors import FitFailed, InvalidInput, ServiceUnavailable
from gmm_core.features import Feature
from gmm_core.invariants import block_laws, violations
from gmm_core.spark.engine import SparkEngine
from gmm_core.spark.fitting import path_of
from gmm_core.spark.landed import RowGroups
from gmm_core.spark.workers import deal

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
import numpy as np
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.pipeline.streams import Stream
from gmm_core.spark.cells import look, look_at_files, squash_columns
from gmm_core.spark.engine import SparkEngine
from gmm_core.spark.exact import exact_passes
from gmm_core.spark.many import fit_blocks
from gmm_core.spark.sampling import even_sample, stratified_sample
from gmm_core.squashing.strata import strata_of

folder, stream = sys.argv[1], Stream.model_validate_json(sys.argv[3])
engine = SparkEngine(master="local[2]", max_rows_per_shard=600)
with engine._spark() as spark:
    context = spark.sparkContext
    spark.conf.set("spark.sql.shuffle.partitions", "4")
tracker, jobs = context.statusTracker(), {}

def counted(name, work):
    context.setJobGroup(name, name)
    result = work()
    jobs[name] = len(tracker.getJobIdsForGroup(name))
    return result

schema = "x double, y double, block string"
rows = spark.read.schema(schema).parquet(folder)
pair = [Feature("x"), Feature("y")]
grids = counted("look", lambda: look(rows, ["x", "y"]))
counted("look at files", lambda: look_at_files(folder, pair))
cells = counted("cells of two columns", lambda: squash_columns(rows, ["x", "y"], grids))
many = counted("six blocks", lambda: fit_blocks(rows, "block", pair, stream="s", k=2, restarts=1))
X = np.column_stack([np.asarray(column) for column in rows.select("x", "y").toArrow().columns])
start = Mixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [1.0, 1.0], "spherical").as_type("full")
found = counted("three passes", lambda: exact_passes(
    rows, pair, start, Moments.of(X), passes=3, tolerance=0))
sample = stratified_sample(rows, "x", strata_of(cells["x"], 400))
counted("sample", lambda: sample.toArrow())
counted("even sample", lambda: even_sample(rows, ["x", "y"], 100))
joined = counted("a block in shards", lambda: engine.fit(stream, "2024-01-01", folder, ""))
whole = stream.model_copy(update={"mixture": stream.mixture.model_copy(update={"path": "whole"})})
at = folder, ""
counted("two blocks, whole", lambda: engine.fit_many(whole, {"2024-01-01": at, "2024-01-02": at}))
alone = stream.model_copy(update={"features": {"x": stream.features["x"]}})
column = counted("a block of one column", lambda: engine.fit(alone, "2024-01-01", folder, ""))
spark.conf.set("spark.sql.adaptive.enabled", "false")
counted("cells, planned once", lambda: squash_columns(rows, ["x", "y"], grids))
counted("six blocks, planned once", lambda: fit_blocks(rows, "block", pair, stream="s", k=2, restarts=1))
print(json.dumps({
    "jobs": jobs, "blocks": sorted(many), "trace": found.trace, "joined": joined.fit.status,
    "column": column.fit.status, "steps": found.iterations}), file=open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """2,000 rows of six blocks."""
    rng = np.random.default_rng(0)
    left = rng.random(2_000) < 0.4
    x = np.where(left, rng.normal(-2, 1, 2_000), rng.normal(2, 0.7, 2_000))
    table = pa.table({
        "x": x, "y": 0.5 * x + rng.normal(size=2_000),
        "block": [f"2024-01-0{1 + i % 6}" for i in range(2_000)],
    })  # fmt: skip
    path = tmp_path_factory.mktemp("paths")
    pq.write_table(table, path / "0.parquet", row_group_size=500)
    return str(path)


@pytest.fixture(scope="module")
def stream_of_two():
    from gmm_core.pipeline.streams import Stream

    return Stream.model_validate({
        "stream": "two", "start": "2024-01-01",
        "source": {"path": "unused", "time": "at", "columns": {"x": "x", "y": "y"}},
        "features": {n: {"minimum": -1e9, "maximum": 1e9} for n in "xy"},
        "mixture": {"k": 2, "restarts": 1, "exact_passes": 2, "tolerance": 1e-12},
        "window": {"blocks": 2},
    })  # fmt: skip


@pytest.fixture(scope="module")
def classic(folder, stream_of_two, tmp_path_factory, quick_jvm):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
    answer = tmp_path_factory.mktemp("answer") / "answer.json"
    outcome = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, str(answer), stream_of_two.model_dump_json()],
        cwd=PROJECT, env=kept | quick_jvm, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr[-4000:]
    return json.loads(answer.read_text())


def test_the_number_of_spark_jobs(classic):
    assert classic["jobs"] == {
        "look": 1,
        "look at files": 0,
        # Adaptive execution makes a job of each shuffle; the query reads the rows once all the same.
        "cells of two columns": 3,
        "six blocks": 2,
        "cells, planned once": 1,
        "six blocks, planned once": 1,
        # an E-step each, and one under the outcome
        "three passes": 4,
        "sample": 1,
        "even sample": 1,
        # the shuffle into shards, the fits; two steps and what they led to
        "a block in shards": 2 + 3,
        "two blocks, whole": 1,
        "a block of one column": 2,
    }


def test_each_path_did_its_work(classic):
    assert classic["blocks"] == [f"2024-01-0{i}" for i in range(1, 7)]
    assert classic["steps"] == 3
    assert (np.diff(classic["trace"]) > 0).all()
    assert classic["joined"].startswith("joined from 4 shards")
    assert classic["joined"].endswith("2 exact passes over all rows")
    assert "on" in classic["column"]
    assert "cells" in classic["column"]


@pytest.mark.parametrize(
    ("rows", "features", "path"),
    [(600, "x", "whole"), (601, "x", "cells"), (600, "xy", "whole"), (601, "xy", "shards")],
)
def test_size_and_shape_choose_the_path(stream_of_two, rows, features, path):
    kept = {name: stream_of_two.features[name] for name in features}
    stream = stream_of_two.model_copy(update={"features": kept})
    assert path_of(stream, rows, 600) == path
    asked = stream.mixture.model_copy(update={"path": "whole"})
    assert path_of(stream.model_copy(update={"mixture": asked}), rows, 600) == "whole"


def test_cells_of_two_features_are_refused(stream_of_two):
    asked = stream_of_two.mixture.model_copy(update={"path": "cells"})
    with pytest.raises(InvalidInput, match=r"mixture\.path: got 'cells'; allowed: auto, whole"):
        path_of(stream_of_two.model_copy(update={"mixture": asked}), 10)


def test_the_path_is_no_part_of_what_a_fit_says_unless_it_is_chosen(stream_of_two):
    changed = stream_of_two.mixture.model_copy(update={"path": "whole"})
    usual = stream_of_two.mixture.model_copy(update={"exact_passes": 8})
    prints = {
        stream_of_two.model_copy(update={"mixture": mixture}).fit_fingerprint
        for mixture in (stream_of_two.mixture, changed, usual)
    }
    assert len(prints) == 3


@pytest.fixture
def blocks_of(tmp_path):
    """Folders of landed rows by key: `(folder, digest)` each."""

    def write(**columns):
        made = {}
        for key, x in columns.items():
            day = key.replace("_", "-").removeprefix("d")
            (tmp_path / day).mkdir()
            pq.write_table(pa.table({"x": x}), tmp_path / day / "0.parquet")
            made[day] = str(tmp_path / day), f"digest of {day}"
        return made

    return write


def test_many_blocks_are_what_each_is_alone(server, stream_of, blocks_of):
    rng = np.random.default_rng(1)
    blocks = blocks_of(
        d2017_01_01=rng.normal(size=80),
        d2017_01_02=np.full(50, 3.0),
        d2017_01_03=rng.normal(size=90),
        d2017_01_04=np.concatenate([rng.normal(size=400), 5 + rng.normal(size=400)]),
    )
    blocks["2017-01-05"] = (blocks["2017-01-01"][0] + "nowhere", "")
    stream, engine = stream_of("unused"), SparkEngine(server.remote, max_rows_per_shard=100)
    found = engine.fit_many(stream, blocks)
    assert list(found) == list(blocks)
    for key in ("2017-01-01", "2017-01-03"):
        assert found[key].digest == engine.fit(stream, key, *blocks[key]).digest
        assert found[key].input_digest == f"digest of {key}"
    assert type(found["2017-01-02"]) is FitFailed
    assert "constant in block 2017-01-02" in str(found["2017-01-02"])
    assert "no rows have landed" in str(found["2017-01-05"])
    big = found["2017-01-04"]
    assert "cells" in big.fit.status
    alone = fit_block(
        "toy", "2017-01-04", stream.feature_list,
        pq.read_table(blocks["2017-01-04"][0])["x"].to_numpy()[:, None],
        k=stream.mixture.block_components, restarts=1,
    )  # fmt: skip
    assert big.fit.log_likelihood == pytest.approx(alone.fit.log_likelihood, abs=0.01)
    gates = {"condition_number": 1e8, "maximum_weight": 1.0}
    assert violations(block_laws(big, **gates)) == []
    np.testing.assert_allclose(big.moments.covariance, alone.moments.covariance, rtol=1e-12)
    assert (big.minimum, big.maximum) == (alone.minimum, alone.maximum)


def test_a_shard_is_no_run_of_rows(server, stream_of_two, tmp_path):
    """Else the first would be constant, and the block refused."""
    y, x = np.repeat([0.0, 1.0, 2.0, 3.0], 50), np.random.default_rng(0).normal(size=200)
    pq.write_table(pa.table({"x": x, "y": y}), tmp_path / "0.parquet", row_group_size=50)
    engine = SparkEngine(server.remote, max_rows_per_shard=50)
    found = engine.fit(stream_of_two, "2024-01-01", str(tmp_path), "")
    assert found.fit.status.startswith("joined from 4 shards")
    assert found.moments.mean[1] == pytest.approx(1.5, abs=1e-12)


def test_a_file_that_is_no_whole_one_is_said_and_the_other_blocks_are_fitted(
    server, stream_of_two, tmp_path
):
    x = np.random.default_rng(0).normal(size=4_000)
    blocks = {}
    for day, start, size in (("01", 4, 0), ("02", 4, 20_000), ("03", -300, 250)):
        (tmp_path / day).mkdir()
        file = tmp_path / day / "0.parquet"
        pq.write_table(pa.table({"x": x, "y": x[::-1]}), file)
        text = bytearray(file.read_bytes())
        text[start : start + size] = b"\xff" * size
        file.write_bytes(bytes(text))
        blocks[f"2024-01-{day}"] = str(tmp_path / day), ""
    found = SparkEngine(server.remote).fit_many(stream_of_two, blocks)
    assert found["2024-01-01"].rows == 4_000
    for key in ("2024-01-02", "2024-01-03"):
        assert type(found[key]) is InvalidInput
        assert "cannot be" in str(found[key])
        assert str(found[key]).endswith("Land the block again.")
    with pytest.raises(InvalidInput, match=r"0\.parquet in \S+ cannot be read: .*Land the block"):
        SparkEngine(server.remote, max_rows_per_shard=2_000).fit(
            stream_of_two, "2024-01-02", *blocks["2024-01-02"]
        )


def test_what_is_out_of_reach_is_no_fault_of_the_block(tmp_path):
    gone = RowGroups(str(tmp_path), "0.parquet", (0,), 5)
    with pytest.raises(ServiceUnavailable, match=r"cannot be read: .*Run this again"):
        list(gone.read(["x"]))


def test_rows_are_dealt_evenly_and_the_same_way_again():
    rng = np.random.default_rng(0)
    batches = [pa.record_batch({"x": rng.normal(size=3)}) for _ in range(40)]
    dealt = [pa.Table.from_batches(deal([Feature("x")], 4)(iter(batches))) for _ in range(2)]
    assert dealt[0].equals(dealt[1])
    rows = [np.frombuffer(piece) for piece in dealt[0]["rows"].to_pylist()]
    sizes = [sum(len(one) for one in rows[shard::4]) for shard in range(4)]
    assert sizes == [30] * 4
    np.testing.assert_array_equal(
        np.sort(np.concatenate(rows)), np.sort(np.concatenate([b["x"].to_numpy() for b in batches]))
    )


def test_bad_values_are_refused_on_the_path_of_cells_too(server, stream_of, blocks_of):
    x = np.concatenate([np.arange(200.0), [np.nan, np.inf]])
    [(key, at)] = blocks_of(d2017_01_01=x).items()
    with pytest.raises(InvalidInput, match=r"'x' \(identity\) has 2 bad values"):
        SparkEngine(server.remote, max_rows_per_shard=100).fit(stream_of("unused"), key, *at)
