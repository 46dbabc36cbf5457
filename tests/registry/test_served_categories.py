"""A served model with categorical features: rows in source form in, the same answers out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from orders import KEYS
from visits import make_visits, visits_declaration

from gmm_core.block import fit_block
from gmm_core.features import to_matrix
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.registry import packaging, records


@pytest.fixture(scope="module")
def visits() -> Stream:
    return Stream.model_validate(visits_declaration())


@pytest.fixture(scope="module")
def block(visits):
    rows = make_visits(KEYS[0])
    X = to_matrix(visits.feature_list, {n: rows[n].to_numpy() for n in visits.features})
    return fit_block("visits", KEYS[0], visits.feature_list, X, k=2, restarts=1)


@pytest.fixture(scope="module")
def density(visits, block):
    return DensityModel.build("visits", visits.feature_list, block.mixture, 0.995)


def test_the_pyfunc_answers_as_the_model(registry, visits, density, lineage, report):
    import mlflow

    version = registry.register(visits, density, lineage, report())
    assert registry.load("visits", version.version) == density
    where = registry._mlflow.client.get_model_version_download_uri("visits", "1")
    served = mlflow.pyfunc.load_model(
        mlflow.artifacts.download_artifacts(where, tracking_uri=registry._mlflow.tracking_uri)
    )
    rows = make_visits(KEYS[1], 40)[list(density.feature_names)]
    rows["card"] = rows["card"].astype(str)
    rows["weekend"] = np.where(rows["weekend"], "true", "false")
    rows.loc[3, "shop"] = None
    rows.loc[4, "shop"] = "never heard of"
    for output in ("score", "log_prob", "component", "normalised", "responsibilities"):
        got = served.predict(rows, params={"output": output})
        want = density.output({name: rows[name].to_numpy() for name in rows}, output)
        assert list(got) == list(want)
        for name in want:
            np.testing.assert_allclose(got[name], want[name], rtol=1e-12)


def test_signature_and_example(density):
    kinds = packaging.signature(density).inputs.input_dict()
    assert {name: str(spec.type) for name, spec in kinds.items()} == {
        "spent": "DataType.double",
        "minutes": "DataType.double",
        "shop": "DataType.string",
        "card": "DataType.string",
        "weekend": "DataType.string",
    }
    rows = pd.DataFrame(packaging.example_rows(density))
    matrix = density.to_matrix({name: rows[name].to_numpy() for name in rows})
    order = np.argsort(-density.mixture.weights, kind="stable")
    np.testing.assert_allclose(matrix[:, :2], density.mixture.numeric.means[order], rtol=1e-12)
    for place, component in enumerate(order):
        for feature, table in enumerate(density.mixture.level_probabilities):
            assert matrix[place, 2 + feature] == table[component, :-1].argmax()


def test_what_is_said_of_it(visits, block, density, lineage, report):
    card = records.model_card(visits, density, lineage, report())
    assert "| shop | levels | - | north, south, it's east, (other) |" in card
    assert "shop" in records.fit_params(visits, block)["features"]
    assert records.fit_metrics(block)["largest_weight"] == block.mixture.weights.max()
