"""Fitting through Spark gives what the numerics give, in shards or whole, errors included."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmm_core.block import fit_block
from gmm_core.errors import FitFailed, InvalidInput, NotFound
from gmm_core.features import to_matrix
from gmm_core.invariants import block_laws, violations
from gmm_core.moments import Moments
from gmm_core.spark.engine import SparkEngine

KEY = "2017-03-14"


def settings(stream, digest):
    m = stream.mixture
    return {
        "k": m.block_components, "covariance_type": m.covariance_type, "regularisation": m.regularisation,
        "restarts": m.restarts, "max_iterations": m.max_iterations, "tolerance": m.tolerance,
        "seed": m.seed, "input_digest": digest, "fit_fingerprint": stream.fit_fingerprint,
    }  # fmt: skip


@pytest.fixture(scope="module")
def summary(engine, baskets, landed):
    folder, landing = landed
    return engine.fit(baskets, KEY, folder, landing.digest)


@pytest.fixture
def rows_of(tmp_path):
    """A folder of landed rows with these columns, in one file or more."""

    def write(columns, parts=1):
        folder = tmp_path / "rows"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        table = pa.table(columns)
        for index, part in enumerate(np.array_split(np.arange(len(table)), parts)):
            pq.write_table(table.take(part), folder / f"{index}.parquet")
        return str(folder)

    return write


def test_the_fit_is_that_of_the_numerics_on_the_same_rows(summary, baskets, landed, read):
    folder, landing = landed
    rows = to_matrix(baskets.feature_list, read(folder))
    alone = fit_block(
        "baskets", KEY, baskets.feature_list, rows, **settings(baskets, landing.digest)
    )
    assert summary.digest == alone.digest, "every digit, through Spark, JSON and back"
    assert summary.rows == 391
    assert summary.fit.converged
    assert summary.fit.seconds > 0


def test_the_order_and_the_files_of_the_rows_do_not_matter(
    engine, baskets, landed, read, summary, rows_of
):
    folder, landing = landed
    shuffled = read(folder).sample(frac=1, random_state=3)
    columns = {name: shuffled[name].to_numpy() for name in baskets.features}
    again = engine.fit(baskets, KEY, rows_of(columns, parts=3), landing.digest)
    assert again.digest == summary.digest


def test_shards_obey_the_laws_of_a_block(server, baskets, landed, read, summary):
    folder, landing = landed
    engine = SparkEngine(server.remote, max_rows_per_shard=100)
    joined = engine.fit(baskets, KEY, folder, landing.digest)
    assert joined.fit.status.startswith("joined from 4 shards")
    assert joined.rows == 391
    assert joined.mixture.n_components == baskets.mixture.block_components
    gates = {"condition_number": baskets.gates.condition_number, "maximum_weight": 1.0}
    assert violations(block_laws(joined, **gates)) == []
    exact = Moments.of(to_matrix(baskets.feature_list, read(folder)))
    np.testing.assert_allclose(joined.moments.mean, exact.mean, rtol=1e-12)
    np.testing.assert_allclose(joined.moments.covariance, exact.covariance, rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(joined.minimum, summary.minimum)
    np.testing.assert_array_equal(joined.maximum, summary.maximum)
    assert engine.fit(baskets, KEY, folder, landing.digest).digest == joined.digest


def test_a_constant_feature_fails_the_fit_as_the_numerics_do(engine, stream_of, rows_of):
    stream, x = stream_of("unused"), np.full(50, 7.0)
    with pytest.raises(FitFailed) as alone:
        fit_block("toy", KEY, stream.feature_list, x[:, None], **settings(stream, ""))
    with pytest.raises(FitFailed) as through_spark:
        engine.fit(stream, KEY, rows_of({"x": x}), "")
    assert type(through_spark.value) is FitFailed
    assert str(through_spark.value) == str(alone.value)
    assert "'x' is constant" in str(alone.value)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")], ids=["NULL", "NaN", "inf"])
def test_bad_values_are_refused_as_the_numerics_do(engine, stream_of, rows_of, bad):
    stream, values = stream_of("unused"), [1.0, 2.0, bad, 4.0, bad]
    with pytest.raises(InvalidInput) as alone:
        to_matrix(stream.feature_list, {"x": np.array(values, dtype=float)})
    with pytest.raises(InvalidInput) as through_spark:
        engine.fit(stream, KEY, rows_of({"x": pa.array(values, pa.float64())}), "")
    assert type(through_spark.value) is InvalidInput
    assert str(through_spark.value) == str(alone.value)


def test_no_rows(engine, stream_of, rows_of):
    with pytest.raises(InvalidInput, match=f"block {KEY} has no rows"):
        engine.fit(stream_of("unused"), KEY, rows_of({"x": pa.array([], pa.float64())}), "")


def test_fewer_rows_than_components(engine, stream_of, rows_of):
    with pytest.raises(
        InvalidInput, match="fewer rows than components: got 3; allowed: at least 10"
    ):
        engine.fit(
            stream_of("unused").with_overrides(k=5), KEY, rows_of({"x": [1.0, 2.0, 4.0]}), ""
        )


def test_nothing_has_landed(engine, stream_of, tmp_path):
    with pytest.raises(NotFound, match=r"cannot be fitted: no rows have landed: got '\S*nowhere'"):
        engine.fit(stream_of("unused"), KEY, str(tmp_path / "nowhere"), "")


def test_landed_rows_without_the_feature(engine, stream_of, rows_of):
    with pytest.raises(
        InvalidInput, match=r"not among the landed columns: got \['x'\]; allowed: y"
    ):
        engine.fit(stream_of("unused"), KEY, rows_of({"y": [1.0]}), "")


def test_landed_files_that_are_broken(engine, stream_of, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "0.parquet").write_text("not parquet")
    with pytest.raises(
        InvalidInput, match=rf"block {KEY} of toy cannot be fitted: .*Land the block again"
    ):
        engine.fit(stream_of("unused"), KEY, str(tmp_path / "rows"), "")


def test_integers_are_numbers(engine, stream_of, rows_of):
    x = np.random.default_rng(0).integers(0, 50, 200)
    summary = engine.fit(stream_of("unused"), KEY, rows_of({"x": x}), "")
    assert summary.moments.mean[0] == pytest.approx(x.mean(), rel=1e-12)


def test_the_engine_refuses_a_shard_of_no_rows():
    with pytest.raises(InvalidInput, match="max_rows_per_shard: got 0; allowed: at least 1"):
        SparkEngine(max_rows_per_shard=0)
