"""Queries of the dbt package gmm_sql, as dbt renders them for an engine, and a model to ask about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compose_file import PROJECT
from mixtures import random_mixture

from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture, numeric_part
from gmm_core.model import DensityModel
from gmm_core.parameters import parameter_table

__all__ = ["agrees", "compiled", "density_model", "mixed_model", "parameters", "rows_of"]

_PROFILES = {
    "duckdb": {"type": "duckdb", "path": ":memory:"},
    "postgres": {
        "type": "postgres", "host": "127.0.0.1", "port": 1, "user": "nobody", "password": "none",
        "dbname": "none", "schema": "public",
    },
    "spark": {"type": "spark", "method": "session", "host": "NA", "schema": "default"},
}  # fmt: skip

# Of the categorical features: a value of each level, and one that is none.
_VALUES = {
    "shop's": np.array(["it's", 'a "b"', "back\\slash", "", "elsewhere"], dtype=object),
    "till": np.array([3, -17, 99]),
    "card": np.array([False, True, True]),  # a column of truths has no other value
}


def density_model(kind: str, d: int) -> DensityModel:
    """Of d features, the first as its logarithm when there are more than one."""
    features = [Feature(f'x"{i}', "log" if d > 1 and i == 0 else "identity") for i in range(d)]
    mixture = random_mixture(7, 4, d, kind, spread=2.0)  # type: ignore[arg-type]
    return DensityModel.build("it's", features, mixture, 0.9, component_ids=[5, 3, 8, 1])


def mixed_model() -> DensityModel:
    """Of two numbers, and of levels that are texts with quotes, whole numbers, and truths."""
    plain = density_model("full", 2)
    rng = np.random.default_rng(5)
    tables = tuple(rng.dirichlet(np.ones(len(values)), size=4) for values in _VALUES.values())
    categorical = [
        Feature(name, levels=("false", "true") if name == "card" else tuple(map(str, values[:-1])))
        for name, values in _VALUES.items()
    ]
    mixture = MixedMixture(numeric_part(plain.mixture), tables)
    features = [*plain.features, *categorical]
    return DensityModel.build("it's", features, mixture, 0.9, component_ids=[5, 3, 8, 1])


def rows_of(model: DensityModel, n: int = 60) -> pd.DataFrame:
    """Rows of the model, some far out, then one that lacks a value and one that is infinite."""
    drawn = model.mixture.sample(n, seed=3)
    d = len(model.numeric_features)
    drawn[:3, :d] *= np.array([[30.0], [-9.0], [3.0]])
    columns = {
        f.name: np.exp(np.clip(v, -300, 300)) if f.transform == "log" else v
        for f, v in zip(model.numeric_features, drawn.T[:d], strict=True)
    }
    for feature, codes in zip(model.features[d:], drawn.T[d:], strict=True):
        columns[feature.name] = _VALUES[feature.name][codes.astype(int)]
    rows = pd.DataFrame(columns)
    rows.insert(0, "row id", np.arange(n))
    for name in set(columns) & {"shop's"}:  # what is no level comes in more than one way
        rows.loc[[4, 5, 6], name] = [None, "It's", "(other)"]
    last = model.numeric_features[-1].name
    bad = rows.iloc[:2].assign(**{"row id": [n, n + 1], last: [np.nan, np.inf]})
    return pd.concat([rows, bad], ignore_index=True)


def parameters(model: DensityModel) -> pd.DataFrame:
    """The table as the lake has it, with another version beside the one that is asked for."""
    table = pd.DataFrame(parameter_table(model))
    other = table.assign(model_version=2, value=table["value"] + 1)
    return pd.concat([table.assign(model_version=3), other]).assign(stream=model.stream)


def compiled(
    folder: Path, engine: str, models: dict[str, DensityModel]
) -> dict[str, dict[str, str]]:
    """{model: {macro: query}} over tables `rows_<model>` and `parameters_<model>`, without a connection."""
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(
        "name: parity\nversion: '1.0'\nconfig-version: 2\nprofile: parity\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    package = str(PROJECT / "dbt" / "packages" / "gmm_sql")
    (folder / "packages.yml").write_text(json.dumps({"packages": [{"local": package}]}))
    profile = {"parity": {"target": "it", "outputs": {"it": {**_PROFILES[engine], "threads": 1}}}}
    (folder / "profiles.yml").write_text(json.dumps(profile))
    for name, model in models.items():
        features = [f.to_dict() for f in model.features]
        for macro in ("scored", "joint"):
            call = (
                f"gmm_sql.{macro}(rows='rows_{name}', key=['row id'], features={features!r}, "
                f"parameters='parameters_{name}', stream={model.stream!r}, version=3)"
            )
            (folder / "models" / f"{macro}_{name}.sql").write_text("{{ " + call + " }}")
    options = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--log-level", "none",
               "--log-path", str(folder / "logs")]  # fmt: skip
    for command in (["deps"], ["compile", "--no-populate-cache", "--no-introspect"]):
        answer = dbtRunner().invoke([*command, *options])
        reset_adapters()
        assert answer.success, (engine, command, answer.exception, answer.result)
    made = folder / "target" / "compiled" / "parity" / "models"
    return {
        name: {macro: (made / f"{macro}_{name}.sql").read_text() for macro in ("scored", "joint")}
        for name in models
    }


def agrees(
    model: DensityModel, rows: pd.DataFrame, scored: pd.DataFrame, joint: pd.DataFrame
) -> None:
    """Both queries' answers are the model's, to 1e-9; NULL where a row lacks a number."""
    whole, n = rows.iloc[:-2], len(rows) - 2
    columns: dict[str, Any] = {name: whole[name].to_numpy() for name in model.feature_names}
    want = model.transform(columns)
    got = scored.sort_values("row id").reset_index(drop=True)
    assert got["row id"].tolist() == rows["row id"].tolist()
    assert got.iloc[n:].drop(columns=["row id", *model.normalised_names]).isna().all(axis=None)
    for name in ("component", "component_id"):
        assert got[name][:n].astype(int).tolist() == want[name].tolist()
    for name in ("log_prob", "score", *model.normalised_names):
        np.testing.assert_allclose(
            got[name][:n].astype(float), want[name], rtol=1e-9, atol=1e-9, err_msg=name
        )
    long = joint.sort_values(["row id", "component"])
    shares = long["responsibility"].astype(float).to_numpy().reshape(len(rows), -1)[:n]
    exact = np.column_stack(list(model.output(columns, "responsibilities").values()))
    np.testing.assert_allclose(shares, exact, rtol=1e-9, atol=1e-9)
    assert long["is_component"].astype(bool).sum() == len(rows)
