"""Parameters: all that SQL needs to know of a registered mixture, as rows of one long table."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture, numeric_part
from gmm_core.model import DensityModel

__all__ = ["parameter_table"]


def parameter_table(model: DensityModel) -> list[dict[str, Any]]:
    """One record per number: component, component_id, parameter, i, j and value.

    `feature`, by which feature i is told from any other; `weight`; of feature i `mean` and `sd`, in
    feature space; of features i and j, j at most i, the lower triangular `whitener` W with W S W' = I
    (Cholesky factors of precisions, whatever the covariance type). Of categorical feature i, counted after
    the numeric ones, `log_level` is the log of the probability of the level of code j, the last of which is
    `OTHER`. `tail_log_density` and `tail_log_share` are point i of the tail curve, and belong to no
    component.

    >>> from gmm_core import Feature, Mixture
    >>> pair = Mixture([0.5, 0.5], [[0.0], [4.0]], [4.0, 1.0], "spherical")
    >>> table = parameter_table(DensityModel.build("toy", [Feature("x")], pair, 0.9))
    >>> [(row["parameter"], row["value"]) for row in table[1:5]]
    [('weight', 0.5), ('mean', 0.0), ('sd', 2.0), ('whitener', 0.5)]
    """
    mixture = numeric_part(model.mixture)
    full = mixture.as_type("full")
    tables = model.mixture.level_probabilities if isinstance(model.mixture, MixedMixture) else ()
    told = [("feature", i, 0, _told_apart(one)) for i, one in enumerate(model.features)]
    rows: list[dict[str, Any]] = []
    for component, component_id in enumerate(model.component_ids):
        whitener = np.asarray(full.whiteners[component])
        named = {"component": component, "component_id": component_id}
        numbers = [*told, ("weight", 0, 0, mixture.weights[component])]
        for i, mean in enumerate(mixture.means[component]):
            numbers += [
                ("mean", i, 0, mean),
                ("sd", i, 0, mixture.standard_deviations()[component, i]),
            ]
            numbers += [("whitener", i, j, whitener[i, j]) for j in range(i + 1)]
        numbers += [
            ("log_level", i, code, np.log(probability))
            for i, table in enumerate(tables, start=mixture.n_features)
            for code, probability in enumerate(table[component])
        ]
        rows += [
            {**named, "parameter": name, "i": i, "j": j, "value": float(value)}
            for name, i, j, value in numbers
        ]
    curve = {"tail_log_density": model.tail.log_density, "tail_log_share": np.log(model.tail.tail)}
    rows += [
        {
            "component": None,
            "component_id": None,
            "parameter": name,
            "i": i,
            "j": 0,
            "value": float(v),
        }
        for name, values in curve.items()
        for i, v in enumerate(values)
    ]
    return rows


def _told_apart(feature: Feature) -> float:
    """52 bits of a digest of its name and transform, or levels: a number that every engine keeps exactly.

    The dbt package gmm_sql takes the same digest of the features that it is handed.
    """
    content = [feature.name, feature.transform if feature.levels is None else list(feature.levels)]
    digest = hashlib.md5(json.dumps(content).encode(), usedforsecurity=False).hexdigest()
    return float(int(digest[:13], 16))
