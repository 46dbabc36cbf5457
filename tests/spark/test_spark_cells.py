"""Cells, exact passes and samples through Spark Connect are those of the numerics."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gmm_core.em import fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.features import Feature
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.spark.cells import in_feature_space, look, look_at_files, squash_columns
from gmm_core.spark.exact import exact_passes
from gmm_core.spark.many import fit_blocks
from gmm_core.spark.sampling import even_sample, stratified_sample
from gmm_core.squashing.cells import Apart, Cells
from gmm_core.squashing.grid import Grid
from gmm_core.squashing.strata import strata_of

ROWS = 3_000


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(4)
    spiky = np.concatenate([np.zeros(900), 1e6 + rng.normal(size=600), rng.normal(size=1_500)])
    return {
        "plain": rng.normal(size=ROWS) + 1e8,
        "spiky": rng.permutation(spiky),
        "heavy": rng.standard_cauchy(ROWS),
        "whole": rng.poisson(4, ROWS).astype(float),
        "weight": rng.integers(0, 3, ROWS).astype(float),
    }


@pytest.fixture(scope="module")
def frame(engine, columns):
    with engine._spark() as spark:
        return spark.createDataFrame(pa.table(columns)).repartition(2)


def same(ours, theirs):
    np.testing.assert_array_equal(ours.zone, theirs.zone)
    np.testing.assert_array_equal(ours.key, theirs.key)
    np.testing.assert_array_equal(ours.weight, theirs.weight)
    np.testing.assert_array_equal(ours.minimum, theirs.minimum)
    np.testing.assert_array_equal(ours.maximum, theirs.maximum)
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-15, atol=1e-12)
    np.testing.assert_allclose(ours.variance, theirs.variance, rtol=1e-6, atol=1e-18)


@pytest.mark.parametrize("weight", [None, "weight"])
def test_spark_and_numpy_make_the_same_cells_of_many_zones_and_of_one(frame, columns, weight):
    names = [name for name in columns if name != "weight"]
    grids = {name: Grid.of_sample(columns[name][:2_000]) for name in names}
    assert len(grids["spiky"].zones) > 1
    assert len(grids["plain"].zones) == 1
    found = squash_columns(frame, names, grids, weight=weight)
    heavy = None if weight is None else columns[weight]
    for name in names:
        same(found[name], Cells.of(columns[name], grids[name], heavy))


def test_what_is_no_number_is_counted_by_its_kind(engine):
    values = [1.0, None, float("nan"), float("inf"), float("-inf"), 1e200, -0.0, 0.0, None]
    with engine._spark() as spark:
        frame = spark.createDataFrame(pa.table({"x": pa.array(values, pa.float64())}))
        [cells] = squash_columns(frame, ["x"], {"x": Grid.scale_free()}).values()
    assert cells.apart == Apart(null=2, nan=1, infinite=3)
    assert cells.weight.tolist() == [2, 1]


def test_the_session_is_as_it_was(engine, frame):
    squash_columns(frame, ["whole"])
    with pytest.raises(InvalidInput):
        squash_columns(frame, ["nowhere"], {"nowhere": Grid.scale_free()})
    with engine._spark() as spark:
        assert spark.conf.get("spark.sql.adaptive.enabled") == "true"
        spark.conf.set("spark.sql.adaptive.enabled", "false")  # as a caller may have it
        try:
            squash_columns(frame, ["whole"])
            assert spark.conf.get("spark.sql.adaptive.enabled") == "false"
        finally:
            spark.conf.set("spark.sql.adaptive.enabled", "true")


@pytest.mark.parametrize("wrong", [-2.0, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused_as_by_the_plain_twin(engine, wrong):
    table, grid = {"x": [1.0, None, 3.0], "w": [1.0, wrong, None]}, Grid.scale_free()
    with engine._spark() as spark:
        frame = spark.createDataFrame(pa.table(table))
        with pytest.raises(InvalidInput, match=r"weights in column 'w'.*0 or more"):
            squash_columns(frame, ["x"], {"x": grid}, weight="w")
    with pytest.raises(InvalidInput, match="sample_weight"):
        Cells.of([1.0, 2.0], grid, [1.0, wrong])


@pytest.mark.parametrize(
    ("names", "says"), [([], "one at least"), (["whole", "whole"], "different names")]
)
def test_columns_that_make_no_sense(frame, names, says):
    with pytest.raises(InvalidInput, match=says):
        squash_columns(frame, names)


def test_a_look_makes_a_grid_that_is_fine_enough(frame, columns, tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), tmp_path / "0.parquet", row_group_size=100)
    feature = Feature("heavy")
    for grid in (look(frame, ["heavy"])["heavy"], look_at_files(str(tmp_path), [feature])["heavy"]):
        assert grid.widths(np.array([0.0]))[0] < 0.02
        assert len(Cells.of(columns["heavy"], grid)) <= ROWS


@pytest.mark.parametrize("transform", ["identity", "log", "log1p", "sqrt"])
def test_transforms_in_sql_are_those_of_the_features(engine, transform):
    x = np.array([0.25, 1.0, 7.5, 1e-9, 1e12, -0.5, 0.0, -3.0])
    feature = Feature("x", transform)
    with engine._spark() as spark:
        frame = spark.createDataFrame(pa.table({"x": x}))
        got = frame.select(in_feature_space(feature)).toArrow()["x"]
    allowed = feature.allowed(x)
    assert [value is not None for value in got.to_pylist()] == allowed.tolist()
    np.testing.assert_allclose(got.drop_null(), feature.forward(x[allowed]), rtol=1e-14)


@pytest.mark.parametrize("kind", ["full", "spherical"])
def test_exact_passes_are_steps_of_em_over_all_rows(frame, columns, kind):
    features = [Feature("plain"), Feature("whole")]
    X = np.column_stack([columns["plain"], columns["whole"]])
    start = fit(X, 3, covariance_type=kind, max_iter=2, reg_covar=1e-3).mixture
    settings = {"tol": 0, "max_iter": 2, "reg_covar": 1e-3}
    rows = fit(X, 3, covariance_type=kind, start=start, **settings)
    found = exact_passes(
        frame, features, start, Moments.of(X), passes=2, regularisation=1e-3, tolerance=0
    )
    np.testing.assert_allclose(found.trace, rows.trace, rtol=1e-11)
    np.testing.assert_allclose(found.mixture.means, rows.mixture.means, rtol=1e-9)
    np.testing.assert_allclose(found.mixture.covariances, rows.mixture.covariances, rtol=1e-6)


def test_passes_end_where_nothing_is_gained_and_refuse_bad_rows(engine, frame, columns):
    x = columns["whole"]
    one = Mixture([1.0], [[x.mean()]], [x.var()], "spherical")
    found = exact_passes(frame, [Feature("whole")], one, Moments.of(x[:, None]), passes=9)
    assert found.converged
    assert found.iterations <= 2
    with pytest.raises(InvalidInput, match="passes: got 0"):
        exact_passes(frame, [Feature("whole")], one, Moments.of(x[:, None]), passes=0)
    with pytest.raises(InvalidInput, match=r"feature 'heavy' \(log\) has"):
        exact_passes(frame, [Feature("heavy", "log")], one, Moments.of(x[:, None]), passes=1)


def test_blocks_by_a_column_and_an_error_of_one_stays_its_own(engine):
    rng = np.random.default_rng(5)
    table = pa.table({"day": np.repeat([1, 2, 3], 60), "x": rng.normal(size=180)})
    with engine._spark() as spark:
        frame = spark.createDataFrame(table).selectExpr("day", "if(day = 2, 7D, x) AS x")
        found = fit_blocks(frame, "day", [Feature("x")], stream="s", k=2, restarts=1)
    assert list(found) == ["1", "2", "3"]
    assert isinstance(found["2"], FitFailed)
    assert found["3"].key == "3"
    assert found["3"].rows == 60


def test_a_stratified_sample_carries_fair_weights(engine, frame, columns):
    x = columns["heavy"]
    strata = strata_of(Cells.of(x, Grid.of_sample(x)), 600)
    with engine._spark():
        sample = stratified_sample(frame, "heavy", strata, seed=1).toArrow()
    drawn, weight = sample["heavy"].to_numpy(), sample["sample_weight"].to_numpy()
    np.testing.assert_allclose(weight, 1 / strata.probabilities(drawn), rtol=1e-15)
    p = strata.probabilities(x)
    assert abs(len(drawn) - p.sum()) <= 5 * np.sqrt((p * (1 - p)).sum())
    assert abs(weight.sum() - ROWS) <= 5 * np.sqrt(((1 - p) / p).sum())
    with pytest.raises(InvalidInput, match="no column has"):
        stratified_sample(frame, "heavy", strata, weight="plain")


def test_an_even_sample_is_rows_of_the_frame_and_what_they_come_from(frame, columns):
    sample = even_sample(frame, ["heavy", "whole"], 400, seed=3)
    pairs = set(zip(columns["heavy"], columns["whole"], strict=True))
    assert sample.shape == (400, 2)
    assert set(map(tuple, sample)) <= pairs
    assert len(set(map(tuple, sample))) == 400, "no row twice"
    everything = np.column_stack([columns["heavy"], columns["whole"]])
    ranks = np.searchsorted(np.sort(everything[:, 0]), sample[:, 0]) / ROWS
    assert abs(ranks.mean() - 0.5) < 0.06  # 4 deviations of the mean of 400
    assert len(even_sample(frame, ["plain"], 10 * ROWS)) == ROWS
    with pytest.raises(InvalidInput):
        even_sample(frame, [], 10)
    with pytest.raises(InvalidInput, match="sampled"):
        even_sample(frame, ["nothing"], 10)
