"""Rows from tables of pandas, polars and Arrow: the numbers, the widths, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gmm_core import GaussianMixture, WindowedGaussianMixture
from gmm_core.arrays import as_rows
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture


def polars_frame(columns):
    return pytest.importorskip("polars").DataFrame(columns)


TABLES = {
    "pandas": pd.DataFrame,
    "polars": polars_frame,
    "arrow table": pa.table,
    "arrow batch": pa.record_batch,
}


def single(values):
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ({"a": [1.0, 2.0], "b": [3.0, 4.5]}, np.float64),
        ({"a": single([1, 2]), "b": single([3, 4.5])}, np.float32),
        ({"a": single([1, 2]), "b": np.array([3, 4.5])}, np.float64),
        ({"a": [1, 2], "b": [3.0, 4.5]}, np.float64),
        ({"a": single([1, 2]), "b": np.array([3, 4], np.int16)}, np.float64),
        ({"a": [1, 2], "b": [3, 4]}, np.float64),
        ({"a": np.array([1, 2], np.uint8)}, np.float64),
        ({"a": [True, False], "b": [1.5, 2.5]}, np.float64),
    ],
)
def test_a_table_is_its_columns_side_by_side(make, columns, dtype):
    rows = as_rows(make(columns), len(columns))
    assert rows.dtype == dtype
    want = np.column_stack([np.asarray(values, np.float64) for values in columns.values()])
    np.testing.assert_array_equal(rows, want)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("first", [[1.0, 2.0, 3.0], [1, 2, 3]])
@pytest.mark.parametrize("second", [[4.0, None, 6.0], [4, None, 6], [4.0, float("nan"), 6.0]])
def test_a_null_is_refused_by_row_and_column(make, first, second):
    message = r"hold 1 NaN or infinite values, the first in row 1, column 1 \('the second'\)"
    with pytest.raises(InvalidInput, match=message):
        as_rows(make({"a": first, "the second": second}))


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    "values",
    [
        ["1.5", "2.5"],
        ["a", "b"],
        np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]"),
        [[1.0], [2.0]],
    ],
)
def test_a_column_that_is_not_numbers_is_named(make, values):
    with pytest.raises(InvalidInput, match=r"column 'b' holds values that are not numbers"):
        as_rows(make({"a": [1.0, 2.0], "b": list(values)}))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "Float32", "UInt8", "double[pyarrow]"])
def test_nullable_numbers_of_pandas(dtype):
    frame = pd.DataFrame({"a": pd.array([1, 2], dtype=dtype), "b": pd.array([3, 4], dtype=dtype)})
    rows = as_rows(frame)
    assert rows.dtype == (np.float32 if dtype == "Float32" else np.float64)
    np.testing.assert_array_equal(rows, [[1, 3], [2, 4]])
    frame.loc[1, "a"] = pd.NA
    with pytest.raises(InvalidInput, match=r"row 1, column 0 \('a'\)"):
        as_rows(frame)


def test_objects_are_taken_when_they_are_numbers():
    np.testing.assert_array_equal(
        as_rows(pd.DataFrame({"a": [Decimal("1.5"), 2]}, dtype=object)), [[1.5], [2.0]]
    )
    decimals = pa.table({"a": pa.array([Decimal("1.5")], type=pa.decimal128(4, 2))})
    np.testing.assert_array_equal(as_rows(decimals), [[1.5]])
    with pytest.raises(InvalidInput, match="not numbers"):
        as_rows(np.array([["1.5"]], dtype=object))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_matrix_is_not_copied(dtype):
    matrix = np.arange(6, dtype=dtype).reshape(3, 2)
    assert np.shares_memory(as_rows(pd.DataFrame(matrix, columns=["a", "b"], copy=False)), matrix)


def test_columns_of_the_same_name_and_chunks_and_slices():
    twice = pd.DataFrame([[1, 2.0], [3, 4.0]], columns=["a", "a"])
    np.testing.assert_array_equal(as_rows(twice), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(
        as_rows(pa.table([[1, 3], [2.0, 4.0]], names=["a", "a"])), [[1, 2], [3, 4]]
    )
    table = pa.table({"a": [1.0, 2.0]})
    chunked = pa.concat_tables([table, table]).slice(1, 2)
    np.testing.assert_array_equal(as_rows(chunked), [[2.0], [1.0]])
    assert as_rows(pa.table({"a": pa.array([], pa.float64())})).shape == (0, 1)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_mixture_answers_tables(make):
    mixture = Mixture([1.0], [[0.0, 1.0]], [[1.0, 2.0]], "diag")
    table = make({"a": [0.5, 1.0], "b": [1, 2]})
    np.testing.assert_array_equal(mixture.log_prob(table), mixture.log_prob([[0.5, 1], [1, 2]]))
    with pytest.raises(InvalidInput, match="wrong number of features: got 1"):
        mixture.log_prob(make({"a": [0.5, 1.0]}))


def test_a_query_is_to_be_run_first():
    polars = pytest.importorskip("polars")
    lazy = polars.LazyFrame({"a": [0.0, 1.0, 5.0]})
    mixture = Mixture([1.0], [[0.0]], [1.0], "spherical")
    for call in (mixture.log_prob, GaussianMixture().fit, WindowedGaussianMixture().partial_fit):
        with pytest.raises(InvalidInput, match=r"got 'LazyFrame'.*Call its collect\(\) first"):
            call(lazy)
    assert mixture.log_prob(lazy.collect()).shape == (3,)
