"""What runs in Spark's Python workers. They need numpy, scipy, pyarrow and fsspec besides gmm_core.

Tasks and models arrive as plain values, and errors go back as text (`carrying.py`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
from gmm_core.spark.carrying import carrying, pack, unpack
from gmm_core.spark.landed import Batches, RowGroups
from gmm_core.summary import BlockSummary

__all__ = [
    "ANSWER",
    "BLOCK",
    "DEALT",
    "FITTED",
    "SHARD",
    "STATISTICS",
    "answered",
    "deal",
    "expectation",
    "fit_group",
    "fit_landed",
    "fit_rows",
    "fit_shard",
    "score_batches",
    "transform_batches",
]

Work = Callable[[Batches], Batches]
SHARD = "__shard"  # no feature is called so: names start with a letter
DEALT = f"{SHARD} int, rows binary"
ANSWER = "summary string, problem string"
BLOCK = "__block"
FITTED = f"{BLOCK} string, summary string, problem string"
STATISTICS = (
    "log_likelihood double, weight array<double>, mean array<double>, scatter array<double>, "
    "problem string"
)
_AT_ONCE = 65_536  # rows that an E-step gets: fewer would wait for it to begin


def fit_landed(tasks: Sequence[tuple[dict[str, Any], Sequence[RowGroups]]]) -> Work:
    """For `mapInArrow` on numbers of blocks: a row of `FITTED` each, a summary or a packed error.

    `tasks` say by number what is to be fitted, and where its rows lie.
    """

    def run(numbers: Batches) -> Batches:
        for number in (one for batch in numbers for one in batch["id"].to_pylist()):
            task, parts = tasks[number]
            summary, problem = _fitted(task, partial(_landed, task, parts))
            yield _row({BLOCK: task["key"], "summary": summary, "problem": problem})

    return run


def deal(features: Sequence[Feature], shards: int) -> Work:
    """For `mapInArrow`: a partition's rows to `DEALT`, each dealt to a shard by a seeded shuffle.

    So a shard is a sample of the rows whatever order they lie in; packed, they cross Spark as bytes.
    """
    plain = [feature.to_dict() for feature in features]

    def run(batches: Batches) -> Batches:
        known = [Feature.from_dict(feature) for feature in plain]
        first = (
            None  # the shard that gets the next row: batches of few rows must not all begin at one
        )
        for batch in batches:
            try:
                rows = _matrix(known, batch)
            except BlockmixError as error:
                raise carrying(error) from None
            rng = np.random.default_rng(zlib.crc32(rows[:64].tobytes()))
            order = rng.permutation(len(rows))
            first = int(rng.integers(shards)) if first is None else first
            packed = [rows[order[(s - first) % shards :: shards]].tobytes() for s in range(shards)]
            first = (first + len(rows)) % shards
            arrays = [pa.array(range(shards), pa.int32()), pa.array(packed, pa.binary())]
            yield pa.RecordBatch.from_arrays(arrays, [SHARD, "rows"])

    return run


def fit_shard(task: dict[str, Any]) -> Work:
    """For `mapInArrow` on one shard of `DEALT`: to one row of `ANSWER`, a summary or a packed error."""

    def run(batches: Batches) -> Batches:
        packed = [one for batch in batches for one in batch["rows"].to_pylist() if one]
        if packed:
            summary, problem = _fitted(task, partial(_unpacked, packed, len(task["features"])))
            yield _row({"summary": summary, "problem": problem})

    return run


def fit_group(
    task: dict[str, Any], digests: dict[str, str] | None = None
) -> Callable[[pa.Table], pa.Table]:
    """For `applyInArrow`: one block's rows to one row of `FITTED`, a summary or a packed error.

    `digests` are those of the blocks' inputs, by key.
    """

    def run(table: pa.Table) -> pa.Table:
        key = table[BLOCK][0].as_py()
        own = {**task, "key": key, "input_digest": (digests or {}).get(key, "")}
        summary, problem = _fitted(own, lambda: _matrix(_features(task), table))
        answer = _row({BLOCK: key, "summary": summary, "problem": problem})
        return pa.Table.from_batches([answer])

    return run


def expectation(task: dict[str, Any]) -> Work:
    """For `mapInArrow`: a partition's rows to one row of `STATISTICS`, or a packed error.

    `task` has the features, the covariance type, and by name the arrays of `Joint` and the shift and
    scale (d,) of the rows.
    """

    def run(batches: Batches) -> Batches:
        features, kind = _features(task), kind_of(task["covariance_type"])
        joint = Joint(
            np.array(task["offsets"]), np.array(task["means"]), np.array(task["whiteners"])
        )
        shift, scale = np.array(task["shift"]), np.array(task["scale"])
        k, d = joint.means.shape
        total, problem = Statistics.nothing(k, d, kind), None
        try:
            for table in _together(batches):
                rows = Rows(_matrix(features, table), None, shift, scale)
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


def _together(batches: Batches) -> Iterator[pa.Table]:
    """The batches in tables of `_AT_ONCE` rows or some more, and the rest."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= _AT_ONCE:
            yield pa.Table.from_batches(held)
            held = []
    if sum(one.num_rows for one in held):
        yield pa.Table.from_batches(held)


def _fitted(task: dict[str, Any], rows: Callable[[], Array]) -> tuple[str | None, str | None]:
    """The summary of these rows, or why there is none, as text."""
    try:
        return json.dumps(codec.to_dict(fit_rows(task, rows()))), None
    except BlockmixError as error:
        return None, pack(error)


def answered(text: str | None, problem: str | None) -> BlockSummary | BlockmixError:
    """On the driver: what a worker's columns `summary` and `problem` say."""
    if problem is not None:
        return unpack(problem)
    return codec.from_dict(json.loads(text or ""), BlockSummary)


def _landed(task: dict[str, Any], parts: Sequence[RowGroups]) -> Array:
    features = _features(task)
    batches = [batch for part in parts for batch in part.read([f.name for f in features])]
    if not batches:  # let the numerics say what no rows mean
        return np.empty((0, len(features)))
    return _matrix(features, pa.Table.from_batches(batches))


def _unpacked(packed: list[bytes], d: int) -> Array:
    """The rows of a shard; takes the pieces out of the list, so that no row is held twice."""
    packed.sort(reverse=True)  # they arrive in any order
    rows = np.empty((sum(len(piece) for piece in packed) // (8 * d), d))
    at = 0
    while packed:
        piece = np.frombuffer(packed.pop()).reshape(-1, d)
        rows[at : at + len(piece)] = piece
        at += len(piece)
    return rows


def _matrix(features: Sequence[Feature], table: pa.Table | pa.RecordBatch) -> Array:
    return to_matrix(features, {f.name: _values(f, table[f.name]) for f in features})


def _row(texts: dict[str, str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {n: pa.array([text], pa.string()) for n, text in texts.items()}
    )


def fit_rows(task: dict[str, Any], rows: Array) -> BlockSummary:
    """`fit_block` on rows (n, d) in feature space, with the settings of the task."""
    return fit_block(**{**task, "features": _features(task)}, X=rows)


def transform_batches(model: dict[str, Any], rows: int, also: Sequence[str] = ()) -> Work:
    """For `mapInArrow`: every batch, of so many rows in all, with `DensityModel.transform`'s columns."""

    def run(batches: Batches) -> Batches:
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


def score_batches(models: Sequence[dict[str, Any]], label: str | None, rows: int) -> Work:
    """For `mapInArrow`: a partition's rows, of so many in all, to one: the JSON of their `Scores`."""

    def run(batches: Batches) -> Batches:
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
