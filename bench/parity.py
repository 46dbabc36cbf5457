"""One model asked in every place that can answer: how far each is from Python, output by output."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from bench.postgres import Database
from bench.serving import saved
from gmm_core import codec
from gmm_core.export.edge import to_c_header, to_json, without_correlations
from gmm_core.export.onnx_graph import to_onnx
from gmm_core.export.scikit import to_sklearn
from gmm_core.mixed.mixture import numeric_part
from gmm_core.model import DensityModel
from gmm_core.parameters import parameter_table
from gmm_core.warehouse.queries import MixtureQuery, rendered

__all__ = ["parity"]

Answer = dict[str, Any]
_PROJECT = Path(__file__).resolve().parents[1]
_KEY, _VERSION = "row_id", 3
_OUTPUTS = ("log_prob", "score", "responsibilities", "normalised", "component")


def parity(model: DensityModel, rows: pd.DataFrame) -> None:
    """Prints the largest absolute difference by place and output, and where there was no place."""
    table = Table(title=f"{len(rows):,} rows: largest absolute difference from Python")
    for name in ("place", *_OUTPUTS):
        table.add_column(name, justify="left" if name == "place" else "right")
    plain, rows = without_correlations(model), rows.assign(**{_KEY: np.arange(len(rows))})
    places: dict[str, tuple[DensityModel, Callable[[DensityModel, pd.DataFrame, Path], Answer]]] = {
        "served model": (model, _served),
        "Spark": (model, _spark),
        "DuckDB": (model, _duckdb),
        "PostgreSQL": (model, _postgres),
        "Spark SQL": (model, _spark_sql),
        "scikit-learn": (model, _scikit),
        "ONNX": (model, _onnx),
        "exported JSON, independent": (plain, _json),
        "exported C, independent": (plain, _c),
    }
    with tempfile.TemporaryDirectory(prefix="blockmix-bench-") as scratch:
        for number, (place, (asked, ask)) in enumerate(places.items()):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            try:
                found = ask(asked, rows, folder)
            except (ImportError, LookupError) as error:
                table.add_row(place, str(error))
                continue
            table.add_row(place, *_differences(_python(asked, rows), found))
    Console(width=120).print(table)


def _python(model: DensityModel, rows: pd.DataFrame) -> Answer:
    columns = {name: rows[name].to_numpy() for name in model.feature_names}
    made: Answer = {name: model.output(columns, name) for name in _OUTPUTS}
    return {
        "log_prob": made["log_prob"]["log_prob"],
        "score": made["score"]["score"],
        "component": made["component"]["component"],
        "responsibilities": np.column_stack(list(made["responsibilities"].values())),
        "normalised": np.column_stack([made["normalised"][n] for n in model.normalised_names]),
    }


def _differences(want: Answer, got: Answer) -> list[str]:
    """Of components the rows that differ; of others the largest difference."""
    told = []
    for name in _OUTPUTS:
        if name not in got:
            told.append("-")
        elif name == "component":
            told.append(f"{int((np.asarray(got[name]) != want[name]).sum())} rows")
        else:
            off = np.abs(np.asarray(got[name], np.float64) - want[name]).max()
            told.append(f"{off:.1e}")
    return told


def _served(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    import mlflow

    served = mlflow.pyfunc.load_model(str(saved(model, folder)))
    asked = rows[list(model.feature_names)]
    made = {name: served.predict(asked, params={"output": name}) for name in _OUTPUTS}
    return {
        "log_prob": made["log_prob"]["log_prob"],
        "score": made["score"]["score"],
        "component": made["component"]["component"],
        "responsibilities": made["responsibilities"].to_numpy(),
        "normalised": made["normalised"][model.normalised_names].to_numpy(),
    }


def _spark(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    """What `transform` writes, read back."""
    from pyspark.sql import types as st

    from gmm_core.spark.session import session
    from gmm_core.spark.transforming import transformed_columns
    from gmm_core.spark.workers import transform_batches

    rows.to_parquet(folder / "rows.parquet")
    spark, also = session(master="local[1]"), ("responsibilities",)
    landed = spark.read.parquet(str(folder / "rows.parquet"))
    schema = st.StructType([*landed.schema.fields, *transformed_columns(model, also)])
    run = transform_batches(codec.to_dict(model), len(rows), also)
    made = landed.mapInArrow(run, schema).toPandas().sort_values(_KEY)
    spark.stop()
    return _of_table(model, made) | {"responsibilities": _shares(made)}


def _spark_sql(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    from gmm_core.spark.session import session

    queries, spark = _queries("spark", model), session(master="local[1]")
    for name, frame in _tables(model, rows).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
        spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(name)
    made = [spark.sql(queries[macro]).toPandas() for macro in ("scored", "joint")]
    spark.stop()
    return _of_queries(model, *made)


def _of_table(model: DensityModel, made: pd.DataFrame) -> Answer:
    return {
        "log_prob": made["log_prob"].to_numpy(np.float64),
        "score": made["score"].to_numpy(np.float64),
        "component": made["component"].to_numpy(np.int64),
        "normalised": made[model.normalised_names].to_numpy(np.float64),
    }


def _shares(made: pd.DataFrame) -> Any:
    return made[[name for name in made if name.startswith("responsibility_")]].to_numpy()


def _scikit(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    X = model.to_matrix(dict(rows.items()))
    made = to_sklearn(numeric_part(model.mixture))
    return {
        "log_prob": made.score_samples(X),
        "responsibilities": made.predict_proba(X),
        "component": made.predict(X),
    }


def _onnx(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    import onnxruntime

    graph = to_onnx(numeric_part(model.mixture)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    label, shares, log_prob = session.run(None, {"X": model.to_matrix(dict(rows.items()))})
    return {"log_prob": log_prob.ravel(), "responsibilities": shares, "component": label.ravel()}


def _json(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    path = _PROJECT / "examples" / "edge_reader.py"
    spec = importlib.util.spec_from_file_location("edge_reader", path)
    if spec is None or spec.loader is None:
        raise LookupError(f"no {path}")
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    exported, records = json.loads(to_json(model)), rows.to_dict("records")
    return {
        "log_prob": [reader.log_prob(exported, row) for row in records],
        "score": [reader.score(exported, row) for row in records],
    }


def _c(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    compiler = shutil.which("cc")
    if compiler is None:
        raise LookupError("no C compiler")
    (folder / "model.h").write_text(to_c_header(model))
    source, program = _PROJECT / "examples" / "edge_reader.c", folder / "score"
    subprocess.run(
        [compiler, "-std=c99", "-O2", f"-I{folder}", "-o", program, source, "-lm"], check=True
    )
    values = rows[list(model.feature_names)].to_numpy(np.float64)
    lines = "\n".join(" ".join(map(repr, row)) for row in values.tolist())
    ran = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    score, log_prob, component = np.array([line.split() for line in ran.stdout.splitlines()]).T
    return {"score": score, "log_prob": log_prob, "component": component.astype(np.int64)}


def _queries(engine: str, model: DensityModel) -> dict[str, str]:
    asked = MixtureQuery(model.features, model.stream, _VERSION, "rows", [_KEY])
    return rendered(engine, {"it": asked})["it"]


def _of_queries(model: DensityModel, scored: pd.DataFrame, joint: pd.DataFrame) -> Answer:
    made, long = scored.sort_values(_KEY), joint.sort_values([_KEY, "component"])
    shares = long["responsibility"].to_numpy(np.float64).reshape(len(made), -1)
    return _of_table(model, made) | {"responsibilities": shares}


def _tables(model: DensityModel, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    told = pd.DataFrame(parameter_table(model))
    return {"rows": rows, "parameters": told.assign(stream=model.stream, model_version=_VERSION)}


def _duckdb(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    import duckdb

    queries = _queries("duckdb", model)
    with duckdb.connect() as engine:
        for name, frame in _tables(model, rows).items():
            engine.register(name, frame)
        return _of_queries(model, *(engine.sql(queries[m]).df() for m in ("scored", "joint")))


def _postgres(model: DensityModel, rows: pd.DataFrame, folder: Path) -> Answer:
    queries, database = _queries("postgres", model), Database()
    try:
        for name, frame in _tables(model, rows).items():
            database.load(name, frame)
        return _of_queries(model, *(database.ask(queries[m]) for m in ("scored", "joint")))
    finally:
        database.close()
