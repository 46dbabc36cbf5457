"""The real gate on blocks with categorical features."""

from __future__ import annotations

import numpy as np
import pytest
from orders import KEYS
from visits import make_visits, visits_declaration

from expectations import ExpectationsGate
from gmm_core.block import fit_block
from gmm_core.features import to_matrix
from gmm_core.model import DensityModel
from gmm_core.pipeline.streams import Stream
from gmm_core.window import window_mixture

DAYS = KEYS[:2]


@pytest.fixture(scope="module")
def visits() -> Stream:
    return Stream.model_validate(visits_declaration())


@pytest.fixture(scope="module")
def visits_gate(tmp_path_factory: pytest.TempPathFactory) -> ExpectationsGate:
    return ExpectationsGate(tmp_path_factory.mktemp("categories"))


def test_rows(visits, visits_gate):
    rows = make_visits(DAYS[0])
    report = visits_gate.check_rows(visits, DAYS[0], rows)
    assert report.passed, report.reason
    assert any(check.name.startswith("shop: one of 3 levels") for check in report.checks)
    for column, value, why in (
        ("shop", "moved", "shop: one of 3 levels"),
        ("card", 7, "card: one of 3 levels"),
        ("shop", None, "shop: present"),
    ):
        wrong = rows.copy()
        wrong.loc[:99, column] = value
        report = visits_gate.check_rows(visits, DAYS[0], wrong)
        assert [check.name for check in report.failures] == [why]
    report = visits_gate.check_rows(visits, DAYS[0], rows.drop(columns="shop"))
    assert "shop: categorical" in {check.name for check in report.failures}


def test_fit_window_and_output(visits, visits_gate):
    blocks = []
    for key in DAYS:
        rows = make_visits(key)
        columns = {name: rows[name].to_numpy() for name in visits.features}
        X = to_matrix(visits.feature_list, columns)
        blocks.append(fit_block("visits", key, visits.feature_list, X, k=2, restarts=1))
        report = visits_gate.check_summary(visits, blocks[-1])
        assert report.passed, report.reason
        assert "level_shares_preserved" in {check.name for check in report.checks}
    mixture = window_mixture(blocks, 2, "runnalls")
    model = DensityModel.build("visits", visits.feature_list, mixture, 0.999)
    report = visits_gate.check_window(visits, DAYS[-1], model, blocks)
    assert report.passed, report.reason
    rows = make_visits(DAYS[0])
    made = model.transform({name: rows[name].to_numpy() for name in model.feature_names})
    report = visits_gate.check_transformed(visits, DAYS[0], rows.assign(**made), model)
    assert report.passed, report.reason
    strange = rows.assign(**{**made, "log_prob": made["log_prob"] - 50})
    assert not visits_gate.check_transformed(visits, DAYS[0], strange, model).passed
    assert np.isfinite(made["score"]).all()
