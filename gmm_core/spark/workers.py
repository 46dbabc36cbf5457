"""What runs in Spark's Python workers. They need numpy, scipy and pyarrow besides gmm_core.

Tasks and models arrive as plain values. A `BlockmixError` goes back as text, so that the driver
raises the same class with the same message instead of a traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmm_core import codec
from gmm_core.arrays import Array
from gmm_core.block import fit_block
from gmm_core.errors import BlockmixError
from gmm_core.evaluation import parts_of
from gmm_core.features import Feature, to_matrix
from gmm_core.fitting.estep import Joint, Statistics
from gmm_core.fitting.kernel import kernel_of
from gmm_core.fitting.rows import Rows
from gmm_core.gaussian import kind_of
from gmm_core.health.scores import Scores
from gmm_core.model import DensityModel
from gmm_core.summary import BlockSummary

__all__ = [
    "ANSWER",
    "BLOCK",
    "FITTED",
    "SHARD",
    "STATISTICS",
    "carried_error",
    "carrying",
    "expectation",
    "fit_group",
    "fit_rows",
    "fit_shard",
    "pack",
    "score_batches",
    "transform_batches",
    "unpack",
]

SHARD = "__shard"  # no feature is called so: names start with a letter
ANSWER = f"{SHARD} int, summary string, problem string"
BLOCK = "__block"
FITTED = f"{BLOCK} string, summary string, problem string"
STATISTICS = (
    "log_likelihood double, weight array<double>, mean array<double>, scatter array<double>, "
    "problem string"
)
_AT_ONCE = 65_536  # rows that an E-step gets: fewer would wait for it to begin
_CARRIED = re.compile(r"<<blockmix (\{.*?\}) blockmix>>", re.DOTALL)


def fit_shard(task: dict[str, Any]) -> Callable[[pa.Table], pa.Table]:
    """For `applyInArrow`: one shard's rows to one row of `ANSWER`, a summary or a packed error."""
    features = _features(task)

    def run(table: pa.Table) -> pa.Table:
        summary, problem = _fitted(task, features, table)
        return pa.table(
            {
                SHARD: pa.array([table[SHARD][0].as_py()], pa.int32()),
                "summary": pa.array([summary], pa.string()),
                "problem": pa.array([problem], pa.string()),
            }
        )

    return run


def fit_group(
    task: dict[str, Any], digests: dict[str, str] | None = None
) -> Callable[[pa.Table], pa.Table]:
    """For `applyInArrow`: one block's rows to one row of `FITTED`, a summary or a packed error.

    `digests` are those of the blocks' inputs, by key.
    """
    features = _features(task)

    def run(table: pa.Table) -> pa.Table:
        key = table[BLOCK][0].as_py()
        own = {**task, "key": key, "input_digest": (digests or {}).get(key, "")}
        summary, problem = _fitted(own, features, table)
        columns = {BLOCK: key, "summary": summary, "problem": problem}
        return pa.table({name: pa.array([text], pa.string()) for name, text in columns.items()})

    return run


def expectation(
    task: dict[str, Any],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: a partition's rows to one row of `STATISTICS`, or a packed error.

    `task` has the features, the covariance type, and by name the arrays of `Joint` and the shift and
    scale (d,) of the rows.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        features, kind = _features(task), kind_of(task["covariance_type"])
        joint = Joint(
            np.array(task["offsets"]), np.array(task["means"]), np.array(task["whiteners"])
        )
        shift, scale = np.array(task["shift"]), np.array(task["scale"])
        k, d = joint.means.shape
        total, problem = Statistics.nothing(k, d, kind), None
        try:
            for table in _together(batches):
                values = to_matrix(features, {f.name: _values(f, table[f.name]) for f in features})
                rows = Rows(values, None, shift, scale)
                kernel = kernel_of("auto", rows, k, 1, _AT_ONCE)
                total += kernel(rows, joint, kind)
        except BlockmixError as error:
            problem = pack(error)
        arrays = (total.weight, total.mean, total.scatter)
        lists = (pa.array([part.ravel().tolist()], pa.list_(pa.float64())) for part in arrays)
        sums = [pa.array([total.log_likelihood]), *lists, pa.array([problem], pa.string())]
        names = ["log_likelihood", "weight", "mean", "scatter", "problem"]
        yield pa.RecordBatch.from_arrays(sums, names)

    return run


def _together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches in tables of `_AT_ONCE` rows or some more, and the rest."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= _AT_ONCE:
            yield pa.Table.from_batches(held)
            held = []
    if sum(one.num_rows for one in held):
        yield pa.Table.from_batches(held)


def _fitted(
    task: dict[str, Any], features: list[Feature], table: pa.Table
) -> tuple[str | None, str | None]:
    """The summary of these rows, or why there is none, as text."""
    try:
        rows = to_matrix(features, {f.name: _values(f, table[f.name]) for f in features})
        return json.dumps(codec.to_dict(fit_rows(task, rows))), None
    except BlockmixError as error:
        return None, pack(error)


def fit_rows(task: dict[str, Any], rows: Array) -> BlockSummary:
    """`fit_block` on rows (n, d) in feature space, with the settings of the task."""
    return fit_block(**{**task, "features": _features(task)}, X=rows)


def transform_batches(
    model: dict[str, Any], rows: int, also: Sequence[str] = ()
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: every batch, of so many rows in all, with `DensityModel.transform`'s columns."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        density = codec.from_dict(model, DensityModel)
        for batch in batches:
            try:
                columns = {f.name: _values(f, batch[f.name]) for f in density.features}
                with parts_of(rows):
                    made = density.transform(columns, also)
            except BlockmixError as error:
                raise carrying(error) from None
            for name in ("component", "component_id"):
                made[name] = made[name].astype(np.int32)
            names, values = [*batch.schema.names, *made], [*batch.columns, *made.values()]
            yield pa.RecordBatch.from_arrays([_arrow(value) for value in values], names)

    return run


def score_batches(
    models: Sequence[dict[str, Any]], label: str | None, rows: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: a partition's rows, of so many in all, to one: the JSON of their `Scores`."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        densities = [codec.from_dict(model, DensityModel) for model in models]
        total = Scores.empty(len(densities))
        for batch in batches:
            try:
                columns = {f.name: _values(f, batch[f.name]) for f in densities[0].features}
                labels = None if label is None else _numbers(batch[label]) > 0
                with parts_of(rows):
                    total += Scores.of(densities, columns, labels)
            except BlockmixError as error:
                raise carrying(error) from None
        text = pa.array([json.dumps(total.to_dict())], pa.string())
        yield pa.RecordBatch.from_arrays([text], ["scores"])

    return run


def pack(error: BlockmixError) -> str:
    """An error as text: its class and message."""
    return json.dumps(error.to_dict())


def unpack(text: str) -> BlockmixError:
    """The error that `pack` was given: same class, same message."""
    return BlockmixError.from_dict(json.loads(text))


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
