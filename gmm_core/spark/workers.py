"""What runs in Spark's Python workers. They need numpy, scipy and pyarrow besides gmm_core.

Tasks and models arrive as plain values. A `BlockmixError` goes back as text, so that the driver
raises the same class with the same message instead of a traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmm_core import codec, errors
from gmm_core.arrays import Array
from gmm_core.block import fit_block
from gmm_core.errors import BlockmixError
from gmm_core.features import Feature, to_matrix
from gmm_core.model import DensityModel
from gmm_core.summary import BlockSummary

__all__ = [
    "ANSWER",
    "SHARD",
    "carried_error",
    "carrying",
    "fit_rows",
    "fit_shard",
    "pack",
    "transform_batches",
    "unpack",
]

SHARD = "__shard"  # no feature is called so: names start with a letter
ANSWER = f"{SHARD} int, summary string, problem string"
_CARRIED = re.compile(r"<<blockmix (\{.*?\}) blockmix>>", re.DOTALL)


def fit_shard(task: dict[str, Any]) -> Callable[[pa.Table], pa.Table]:
    """For `applyInArrow`: one shard's rows to one row of `ANSWER`, a summary or a packed error."""
    features = _features(task)

    def run(table: pa.Table) -> pa.Table:
        summary, problem = None, None
        try:
            rows = to_matrix(features, {f.name: _values(f, table[f.name]) for f in features})
            summary = json.dumps(codec.to_dict(fit_rows(task, rows)))
        except BlockmixError as error:
            problem = pack(error)
        return pa.table(
            {
                SHARD: pa.array([table[SHARD][0].as_py()], pa.int32()),
                "summary": pa.array([summary], pa.string()),
                "problem": pa.array([problem], pa.string()),
            }
        )

    return run


def fit_rows(task: dict[str, Any], rows: Array) -> BlockSummary:
    """`fit_block` on rows (n, d) in feature space, with the settings of the task."""
    return fit_block(**{**task, "features": _features(task)}, X=rows)


def transform_batches(
    model: dict[str, Any],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: every batch with the columns of `DensityModel.transform` appended."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        density = codec.from_dict(model, DensityModel)
        for batch in batches:
            try:
                columns = {f.name: _values(f, batch[f.name]) for f in density.features}
                made = density.transform(columns)
            except BlockmixError as error:
                raise carrying(error) from None
            for name in ("component", "component_id"):
                made[name] = made[name].astype(np.int32)
            names, values = [*batch.schema.names, *made], [*batch.columns, *made.values()]
            yield pa.RecordBatch.from_arrays([_arrow(value) for value in values], names)

    return run


def pack(error: BlockmixError) -> str:
    """An error as text: its class and message."""
    return json.dumps({"kind": type(error).__name__, "message": str(error)})


def unpack(text: str) -> BlockmixError:
    """The error that `pack` was given: same class, same message."""
    data = json.loads(text)
    error: BlockmixError = getattr(errors, data["kind"])(data["message"])
    return error


def carrying(error: BlockmixError) -> RuntimeError:
    """What to raise where no column can carry an error: its text survives Spark's traceback."""
    return RuntimeError(f"<<blockmix {pack(error)} blockmix>>")


def carried_error(text: str) -> BlockmixError | None:
    """The error that `carrying` was given, from what Spark says about the end of the worker."""
    found = _CARRIED.search(text)
    return None if found is None else unpack(found[1])


def _features(task: dict[str, Any]) -> list[Feature]:
    return [Feature.from_dict(feature) for feature in task["features"]]


def _values(feature: Feature, column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """What `to_matrix` takes of a column: numbers, or text and `None`."""
    if not feature.categorical:
        return _numbers(column)
    return np.asarray(pc.cast(column, pa.string()).to_pylist(), dtype=object)


def _numbers(column: pa.Array | pa.ChunkedArray) -> Array:
    """A NULL becomes NaN, which `to_matrix` refuses by name."""
    return np.asarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan))


def _arrow(values: Any) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values)
