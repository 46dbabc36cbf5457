"""Spark ML's folder, without Spark; tests/examples/test_in_spark.py asks Spark itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import kinds, random_mixture, seeds

from gmm_core.errors import InvalidInput
from gmm_core.export import spark_ml
from gmm_core.export.spark_ml import from_spark_ml, to_spark_ml


@settings(max_examples=8)
@given(seeds, st.integers(1, 4), st.integers(1, 4), kinds)
def test_there_and_back(seed, k, d, kind):
    mixture = random_mixture(seed, k, d, kind)
    with tempfile.TemporaryDirectory() as scratch:
        to_spark_ml(mixture, Path(scratch) / "model")
        back = from_spark_ml(Path(scratch) / "model")
    np.testing.assert_array_equal(back.means, mixture.means)
    np.testing.assert_array_equal(back.covariances, mixture.full_covariances())
    np.testing.assert_allclose(back.weights, mixture.weights, rtol=1e-15)


def test_dense_and_sparse_matrices_and_vectors():
    matrix = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    shape = {"numRows": 2, "numCols": 3}
    columns = {"type": 1, **shape, "values": [1, 0, 0, 3, 2, 0], "isTransposed": False}
    rows = {"type": 1, **shape, "values": [1, 0, 2, 0, 3, 0], "isTransposed": True}
    by_column = {
        "type": 0, **shape, "colPtrs": [0, 1, 2, 3], "rowIndices": [0, 1, 0], "values": [1, 3, 2],
        "isTransposed": False,
    }  # fmt: skip
    by_row = {
        "type": 0, **shape, "colPtrs": [0, 2, 3], "rowIndices": [0, 2, 1], "values": [1, 2, 3],
        "isTransposed": True,
    }  # fmt: skip
    for stored in (columns, rows, by_column, by_row):
        np.testing.assert_array_equal(spark_ml._of_matrix(stored), matrix)
    sparse = {"type": 0, "size": 3, "indices": [2], "values": [5.0]}
    np.testing.assert_array_equal(spark_ml._of_vector(sparse), [0, 0, 5])


def test_what_is_no_such_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no Gaussian mixture"):
        from_spark_ml(tmp_path)
    with pytest.raises(InvalidInput, match="where nothing is"):
        to_spark_ml(random_mixture(1, 2, 2), tmp_path)
    to_spark_ml(random_mixture(1, 2, 2), tmp_path / "model")
    about = tmp_path / "model" / "metadata" / "part-00000"
    about.write_text(json.dumps({"class": "org.apache.spark.ml.clustering.KMeansModel"}))
    with pytest.raises(InvalidInput, match="KMeansModel"):
        from_spark_ml(tmp_path / "model")
