"""Spark ML: the folder that its `GaussianMixtureModel` is saved in, written and read without a JVM.

Such a folder holds a line of JSON, the class and its parameters, in `metadata/`, and in `data/` one row of
weights, means and covariances in Parquet. The vectors and matrices are Spark's own types, which the Parquet
file's metadata describe. pyarrow reads and writes it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.extras import optional
from gmm_core.mixture import Mixture

__all__ = ["from_spark_ml", "to_spark_ml"]

_CLASS = "org.apache.spark.ml.clustering.GaussianMixtureModel"
_DESCRIPTION = "org.apache.spark.sql.parquet.row.metadata"
_SPARSE, _DENSE = 0, 1  # what the field `type` of a vector or matrix says


def to_spark_ml(mixture: Mixture, folder: Path) -> None:
    """Write a new folder that `pyspark.ml.clustering.GaussianMixtureModel.load` reads.

    Every covariance type becomes "full", the only one there. Raises `InvalidInput` when there is
    something at the path, and `MissingExtra` without pyarrow.
    """
    pa, parquet = _arrow()
    if folder.exists():
        raise InvalidInput("a folder to write", got=str(folder), bound="a path where nothing is")
    about = {
        "class": _CLASS,
        "timestamp": int(time.time() * 1000),
        "sparkVersion": "4.0.0",  # whose format this is
        "uid": f"GaussianMixture_{uuid.uuid4().hex[:12]}",
        "paramMap": {"k": mixture.n_components},
        "defaultParamMap": {},
    }
    vector, matrix = _sql_types(pa)
    schema = pa.schema(
        [
            ("weights", pa.list_(pa.field("element", pa.float64(), nullable=False))),
            ("mus", pa.list_(pa.field("element", vector))),
            ("sigmas", pa.list_(pa.field("element", matrix))),
        ],
        metadata={_DESCRIPTION: json.dumps(_description())},
    )
    row = {
        "weights": mixture.weights.tolist(),
        "mus": [_vector(mean) for mean in mixture.means],
        "sigmas": [_matrix(covariance) for covariance in mixture.full_covariances()],
    }
    for part in ("metadata", "data"):
        (folder / part).mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist([row], schema), folder / "data" / "part-00000.parquet")
    (folder / "metadata" / "part-00000").write_text(json.dumps(about) + "\n", encoding="utf-8")
    for part in ("metadata", "data"):
        (folder / part / "_SUCCESS").touch()


def from_spark_ml(folder: Path) -> Mixture:
    """The mixture in a folder that Spark ML's model, or `to_spark_ml`, was saved in.

    Raises `InvalidInput` when there is none, or another kind of model, and `MissingExtra` without pyarrow.
    """
    _, parquet = _arrow()
    lines = [
        line
        for path in sorted(folder.glob("metadata/part-*"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    found = json.loads(lines[0]).get("class") if lines else None
    if found != _CLASS:
        raise InvalidInput(f"no Gaussian mixture of Spark ML in {folder}", got=found, bound=_CLASS)
    rows = [row for one in sorted(folder.glob("data/part-*.parquet"))
            for row in parquet.read_table(one).to_pylist()]  # fmt: skip
    if len(rows) != 1:
        raise InvalidInput(f"rows of the model in {folder}", got=len(rows), bound="1")
    weights = np.array(rows[0]["weights"])
    kept = weights > 0  # Spark keeps components that ran empty
    means = np.array([_of_vector(one) for one in rows[0]["mus"]])[kept]
    covariances = np.array([_of_matrix(one) for one in rows[0]["sigmas"]])[kept]
    return Mixture(weights[kept] / weights[kept].sum(), means, covariances)


def _arrow() -> tuple[Any, Any]:
    return (
        optional("pyarrow", "models of Spark ML", "pyarrow"),
        optional("pyarrow.parquet", "models of Spark ML", "pyarrow"),
    )


def _vector(values: Array) -> dict[str, Any]:
    return {"type": _DENSE, "size": None, "indices": None, "values": values.tolist()}


def _matrix(values: Array) -> dict[str, Any]:
    d = len(values)
    return {
        "type": _DENSE, "numRows": d, "numCols": d, "colPtrs": None, "rowIndices": None,
        "values": values.ravel(order="F").tolist(), "isTransposed": False,
    }  # fmt: skip


def _of_vector(stored: Mapping[str, Any]) -> Array:
    if stored["type"] == _DENSE:
        return np.array(stored["values"], dtype=np.float64)
    dense = np.zeros(stored["size"])
    dense[stored["indices"]] = stored["values"]
    return dense


def _of_matrix(stored: Mapping[str, Any]) -> Array:
    shape = stored["numRows"], stored["numCols"]
    if stored["type"] == _DENSE:
        matrix = np.array(stored["values"], dtype=np.float64).reshape(shape[::-1])
        return matrix.reshape(shape) if stored["isTransposed"] else matrix.T
    dense, starts = np.zeros(shape), stored["colPtrs"]
    major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    at = (major, stored["rowIndices"]) if stored["isTransposed"] else (stored["rowIndices"], major)
    dense[at] = stored["values"]
    return dense


def _sql_types(pa: Any) -> tuple[Any, Any]:
    """How Arrow calls what Spark keeps its vectors and matrices as."""
    numbers = {
        "double": pa.list_(pa.field("element", pa.float64(), nullable=False)),
        "integer": pa.list_(pa.field("element", pa.int32(), nullable=False)),
    }
    plain = {"byte": pa.int8(), "integer": pa.int32(), "boolean": pa.bool_()}
    vector, matrix = (
        pa.struct(
            [
                pa.field(name, (numbers if listed else plain)[kind], nullable=nullable)
                for name, kind, listed, nullable in fields
            ]
        )
        for fields in (_VECTOR, _MATRIX)
    )
    return vector, matrix


# Name, type, whether a list of it, whether it may be missing.
_VECTOR = (
    ("type", "byte", False, False),
    ("size", "integer", False, True),
    ("indices", "integer", True, True),
    ("values", "double", True, True),
)
_MATRIX = (
    ("type", "byte", False, False),
    ("numRows", "integer", False, False),
    ("numCols", "integer", False, False),
    ("colPtrs", "integer", True, True),
    ("rowIndices", "integer", True, True),
    ("values", "double", True, True),
    ("isTransposed", "boolean", False, False),
)


def _description() -> dict[str, Any]:
    """The schema as Spark writes it, with the names of its own types."""
    columns = {
        "weights": {"type": "array", "elementType": "double", "containsNull": False},
        "mus": _listed_type("VectorUDT", _VECTOR),
        "sigmas": _listed_type("MatrixUDT", _MATRIX),
    }
    fields = [
        {"name": name, "type": kind, "nullable": True, "metadata": {}}
        for name, kind in columns.items()
    ]
    return {"type": "struct", "fields": fields}


def _listed_type(name: str, fields: tuple[tuple[str, str, bool, bool], ...]) -> dict[str, Any]:
    sql = [
        {
            "name": field,
            "type": {"type": "array", "elementType": kind, "containsNull": False}
            if listed
            else kind,
            "nullable": nullable,
            "metadata": {},
        }
        for field, kind, listed, nullable in fields
    ]
    element = {
        "type": "udt",
        "class": f"org.apache.spark.mllib.linalg.{name}",
        "pyClass": f"pyspark.mllib.linalg.{name}",
        "sqlType": {"type": "struct", "fields": sql},
    }
    return {"type": "array", "elementType": element, "containsNull": True}
