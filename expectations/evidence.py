"""What a batch is asked: one pass over its rows, and what parts answered adds up.

Each kind of evidence is a function from a pandas frame to a dict of plain numbers and lists. Of the parts of
a batch these are added; for a name that begins with "largest" the larger ones stay, for one that
begins with "all" the lists follow one another. So pandas and Spark share one definition, and Spark
makes one job of it, however many columns there are: each partition answers with a short text.

Nothing here imports Great Expectations: Spark's workers load this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gmm_core.codec import from_dict
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import numeric_part
from gmm_core.model import DensityModel
from gmm_core.pipeline.tally import judged_columns, tally_of

__all__ = [
    "CELLS",
    "Evidence",
    "answer",
    "answer_of_spark",
    "model_of",
    "pinned",
    "unanswerable",
]

CELLS = 20  # of scores from 0 to 1
TABLE = ["feature", "component", "weight", "mean", "sd"]  # a text, then numbers

Evidence = dict[str, Any]
Kind = Callable[[pd.DataFrame, DensityModel, dict[str, Any]], Evidence]

_KINDS: dict[str, tuple[Kind, Callable[[DensityModel], list[str]]]] = {}


def evidence(name: str, columns: Callable[[DensityModel], list[str]]) -> Callable[[Kind], Kind]:
    """Registers a kind of evidence, with the columns that it looks at."""

    def register(kind: Kind) -> Kind:
        _KINDS[name] = (kind, columns)
        return kind

    return register


def pinned(mixture: str) -> str:
    """An address whose alias is replaced by the version that it names now; anything else as it is.

    Raises `InvalidInput` where nothing is registered under the address, or it would move by itself.
    """
    if not mixture.startswith("models:/"):
        return mixture
    bound = "models:/NAME/VERSION or models:/NAME@ALIAS of a registered model"
    address = mixture.removeprefix("models:/")
    name, _, alias = address.partition("@")
    if not alias:
        if "/" in address and not address.rpartition("/")[2].isdigit():
            raise InvalidInput("mixture", got=mixture, bound=bound)
        return mixture
    import mlflow

    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except mlflow.MlflowException as error:
        raise InvalidInput("mixture", got=mixture, bound=bound, remedy=str(error)) from None
    return f"models:/{name}/{found.version}"


def model_of(mixture: str) -> DensityModel:
    """The model behind an expectation's `mixture`: codec text, or the address of an MLflow model.

    An alias is looked up each time, since it moves; a version is read once. Of the MLflow model its plain
    data is read; no code of it runs. Raises `InvalidInput` for what is neither.
    """
    return _read(pinned(mixture))


@lru_cache(maxsize=16)
def _read(mixture: str) -> DensityModel:
    if not mixture.startswith(("models:/", "runs:/")):
        if not mixture.lstrip().startswith("{"):
            raise InvalidInput(
                "mixture", got=mixture, bound="a codec dict, models:/... or runs:/..."
            )
        return from_dict(json.loads(mixture), DensityModel)
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(mixture))
    files = sorted(folder.rglob("model.json"))
    if not files:
        raise InvalidInput("mixture", got=mixture, bound="a version that Blockmix registered")
    return from_dict(json.loads(files[0].read_text(encoding="utf-8")), DensityModel)


def unanswerable(question: str, present: list[str]) -> list[str]:
    """Columns that a question needs and a batch lacks."""
    asked = json.loads(question)
    wanted = _KINDS[asked["kind"]][1](model_of(asked["mixture"]))
    return [name for name in wanted if name not in present]


def answer(question: str, rows: pd.DataFrame) -> Evidence:
    """The evidence of one frame."""
    asked = json.loads(question)
    kind, columns = _KINDS[asked["kind"]]
    model = model_of(asked["mixture"])
    return kind(rows[columns(model)], model, asked)


def answer_of_spark(question: str, rows: Any) -> Evidence:
    """`answer` for a Spark frame of any size: one job."""
    asked = json.loads(question)
    columns = _KINDS[asked["kind"]][1](model_of(asked["mixture"]))

    def parts(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        found = [json.dumps(answer(question, batch)) for batch in batches]
        yield pd.DataFrame({"part": found}, dtype=object)

    collected = rows.select(*columns).mapInPandas(parts, "part string").collect()
    total = answer(question, pd.DataFrame({name: [] for name in columns}))
    for part in collected:
        total = _added(total, json.loads(part[0]))
    return total


def _added(a: Evidence, b: Evidence) -> Evidence:
    """The evidence of two parts together."""
    return {name: _joined(name, a[name], b[name]) for name in a}


def _joined(name: str, a: Any, b: Any) -> Any:
    if name.startswith("all"):
        return a + b
    return (np.maximum if name.startswith("largest") else np.add)(a, b).tolist()


def _finite(rows: pd.DataFrame) -> np.ndarray:
    """(n, d) as float64; what is no number is NaN, so that it is counted."""
    return rows.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _source(model: DensityModel) -> list[str]:
    """Numeric features, in source units."""
    return [feature.name for feature in model.numeric_features]


@evidence("moments", _source)
def _powers(rows: pd.DataFrame, model: DensityModel, _: dict[str, Any]) -> Evidence:
    values, gaps = _feature_rows(rows, model)
    mixture = numeric_part(model.mixture)
    with np.errstate(over="ignore"):
        z = (values - mixture.mean()) / np.sqrt(np.diagonal(mixture.covariance()))
        powers = np.stack([np.power(z, p).sum(axis=0) for p in range(1, 5)], axis=1)
    return {"rows": len(rows), "gaps": gaps, "powers": powers.tolist()}


def _feature_rows(rows: pd.DataFrame, model: DensityModel) -> tuple[np.ndarray, int]:
    """(n, d) in feature space, without rows that lack a number or no transform takes; and their number."""
    table = _finite(rows)
    good = np.isfinite(table).all(axis=1)
    for at, feature in enumerate(model.numeric_features):
        good &= feature.allowed(table[:, at])
    kept = table[good]
    values = [feature.forward(kept[:, at]) for at, feature in enumerate(model.numeric_features)]
    return np.column_stack(values), int((~good).sum())


@evidence("bounds", _source)
def _outside(rows: pd.DataFrame, model: DensityModel, asked: dict[str, Any]) -> Evidence:
    values, gaps = _feature_rows(rows, model)
    mixture, tail = numeric_part(model.mixture), asked["tail"]
    bounds = np.array(
        [mixture.marginal([at]).ppf([tail, 1 - tail]) for at in range(mixture.n_features)]
    )
    sides = [(values < bounds[:, 0]).sum(axis=0), (values > bounds[:, 1]).sum(axis=0)]
    return {"rows": len(rows), "gaps": gaps, "outside": np.stack(sides, axis=1).tolist()}


@evidence("scores", lambda model: list(model.feature_names))
def _cells(rows: pd.DataFrame, model: DensityModel, _: dict[str, Any]) -> Evidence:
    good = np.ones(len(rows), bool)
    for feature in model.numeric_features:
        values = pd.to_numeric(rows[feature.name], errors="coerce").to_numpy(
            np.float64, na_value=np.nan
        )
        good &= np.isfinite(values) & feature.allowed(values)
    columns = {name: rows.loc[good, name].to_numpy() for name in model.feature_names}
    scores = model.output(columns, "score")["score"] if good.any() else np.empty(0)
    counts, _edges = np.histogram(scores, bins=CELLS, range=(0, 1))
    return {"gaps": int((~good).sum()), "cells": counts.tolist()}


@evidence("round trip", judged_columns)
def _error(rows: pd.DataFrame, model: DensityModel, _: dict[str, Any]) -> Evidence:
    numbers = pd.DataFrame(_finite(rows), columns=rows.columns)
    found = json.loads(tally_of(numbers, model, np.inf).to_json())
    return {
        "rows": found["rows"],
        "gaps": found["gaps"],
        "strange": found["strange_component"],
        "largest error": found["error"],
    }


@evidence("component table", lambda _: TABLE)
def _table(rows: pd.DataFrame, _model: DensityModel, _: dict[str, Any]) -> Evidence:
    numbers = _finite(rows[TABLE[1:]]).tolist()
    names = rows[TABLE[0]].astype(str)
    return {"all rows": [[name, *values] for name, values in zip(names, numbers, strict=True)]}
