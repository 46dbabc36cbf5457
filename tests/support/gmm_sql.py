"""Models and rows to ask queries of the dbt package gmm_sql about, and whether their answers are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from mixtures import random_mixture

from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture, numeric_part
from gmm_core.model import DensityModel
from gmm_core.parameters import parameter_table
from gmm_core.warehouse.queries import MixtureQuery, rendered

__all__ = [
    "REFUSED",
    "agrees",
    "density_model",
    "mixed_model",
    "parameters",
    "queries_of",
    "rows_of",
]

REFUSED = "version 3 has other features, transforms or levels than the ones named"

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


def queries_of(engine: str, models: dict[str, DensityModel]) -> dict[str, dict[str, str]]:
    """{model: {macro: query}} over tables `rows_<model>` and `parameters_<model>`.

    Beside them those of mistakes about the model "mixed", which all have to fail: "swapped" has two features
    in each other's place, "unlogged" another transform, "relevelled" two levels in each other's place.
    """
    asked = {
        name: MixtureQuery(
            model.features, model.stream, 3, f"rows_{name}", ["row id"], f"parameters_{name}"
        )
        for name, model in models.items()
    }
    first, second, shop, *others = asked["mixed"].features
    turned = replace(shop, levels=(shop.levels[1], shop.levels[0], *shop.levels[2:]))
    wrong = {
        "swapped": (second, first, shop, *others),
        "unlogged": (replace(first, transform="sqrt"), second, shop, *others),
        "relevelled": (first, second, turned, *others),
    }
    mistaken = {name: replace(asked["mixed"], features=made) for name, made in wrong.items()}
    return rendered(engine, asked | mistaken)


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
    want |= model.output(columns, "tail_probability")
    for name in ("log_prob", "score", "tail_probability", *model.normalised_names):
        np.testing.assert_allclose(
            got[name][:n].astype(float), want[name], rtol=1e-9, atol=1e-9, err_msg=name
        )
    # As a ratio, too: a row that is rarer than 1e-300 has no other number that ranks it.
    tail = want["tail_probability"]
    near = got["tail_probability"][:n].astype(float)[tail > 1e-300]
    np.testing.assert_allclose(near, tail[tail > 1e-300], rtol=1e-9)
    long = joint.sort_values(["row id", "component"])
    shares = long["responsibility"].astype(float).to_numpy().reshape(len(rows), -1)[:n]
    exact = np.column_stack(list(model.output(columns, "responsibilities").values()))
    np.testing.assert_allclose(shares, exact, rtol=1e-9, atol=1e-9)
    assert long["is_component"].astype(bool).sum() == len(rows)
