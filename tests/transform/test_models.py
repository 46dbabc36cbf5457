"""What a build says of each model: built, refused by a test, broken, or left as it was."""

from __future__ import annotations

import pandas as pd
from orders import KEYS

from gmm_core.errors import ComputationFailed
from gmm_core.warehouse import build_marts
from gmm_core.warehouse.models import models

THIRD = KEYS[2]
STAGED = {"stg_components", "stg_metrics", "component_history", "model_health"}


def heard(site):
    """{model: what was told}, and whether the build raised."""
    told = []
    try:
        build_marts(site.stream, THIRD, str(site.lake), site.warehouse, tell=told.extend)
    except ComputationFailed as error:
        return {one.name: one for one in told}, error
    return {one.name: one for one in told}, None


def test_a_good_build_built_every_model(site):
    told, _ = heard(site)
    assert set(told) == {name for names in models().values() for name in names}
    assert {one.state for one in told.values()} == {"built"}
    assert all(one.tests > 0 and one.seconds > 0 for one in told.values())
    assert told["stg_scored_rows"].says == ()


def test_a_failed_test_refuses_its_model_and_leaves_those_behind(site):
    site.write(THIRD, site.rows(THIRD).iloc[:50], "part-1")
    told, _ = heard(site)
    states = {name: one.state for name, one in told.items()}
    assert {name for name, state in states.items() if state == "built"} == STAGED
    assert states.pop("stg_scored_rows") == "refused"
    assert {state for name, state in states.items() if name not in STAGED} == {"left"}
    (says,) = told["stg_scored_rows"].says
    assert says.startswith("rows_are_one_per_group: ")


def test_broken_sql_is_told_before_it_is_raised(site):
    path = site.components(THIRD)
    pd.read_parquet(path, partitioning=None).drop(columns="sd").to_parquet(path, index=False)
    told, error = heard(site)
    assert "could not run stg_components" in str(error)
    assert told["stg_components"].state == "broken"
    assert "sd" in told["stg_components"].says[0]
    assert told["segments"].state == "left"
