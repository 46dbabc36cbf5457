"""Streams with categorical features: what can be declared, and the whole flow in memory."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import yaml
from orders import KEYS, declaration, run_day
from visits import SHOPS, make_visits, visits_declaration

from gmm_core.cli.tables import components_table
from gmm_core.errors import BlockQuarantined, InvalidStream
from gmm_core.invariants import violations, window_laws
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import CHAMPION, fit, land

DAYS = KEYS[:4]


@pytest.fixture
def visits():
    return Stream.model_validate(visits_declaration())


def test_every_day_goes_through(visits):
    at = memory_services({key: make_visits(key) for key in DAYS})
    for key in DAYS:
        assert run_day(visits, key, at) == [True] * 5
    assert run_day(visits, DAYS[-1], at) == [False] * 5
    champion = at.registry.alias("visits", CHAMPION)
    model = at.registry.load("visits", champion.version)
    assert model.feature_names == ("spent", "minutes", "shop", "card", "weekend")
    blocks = [at.store.summary("visits", key) for key in DAYS[1:]]
    laws = window_laws(model.mixture, blocks, condition_number=1e8, maximum_weight=0.9)
    assert not violations(laws)
    # Two kinds of visits that have the same numbers are found, and keep their ids.
    shops = model.mixture.level_probabilities[0]
    top = [SHOPS[index] for index in shops[:, :3].argmax(axis=1)]
    assert sorted(top) == ["it's east", "north"]
    assert champion.tags["born"] == "none"
    rows = pd.concat([make_visits(key) for key in DAYS[1:]])
    known = rows["shop"].isin(SHOPS)
    share = (rows["shop"].isin(["north"])).mean()
    assert model.mixture.level_shares()[0][0] == pytest.approx(share, abs=1e-3)
    assert model.mixture.level_shares()[0][3] == pytest.approx(1 - known.mean(), abs=1e-3)


def test_transformed_rows(visits):
    at = memory_services({key: make_visits(key) for key in DAYS})
    run_day(visits, DAYS[0], at)
    out = at.engine.read(at.store.path("visits", "transformed", DAYS[0]))
    assert {"spent_normalised", "minutes_normalised", "shop", "component", "score"} <= set(out)
    assert "shop_normalised" not in out
    assert out["shop"].isna().any()
    model = at.registry.load("visits", 1)
    X = model.to_matrix({name: out[name].to_numpy() for name in model.feature_names})
    np.testing.assert_allclose(out["log_prob"], model.mixture.log_prob(X))
    assert set(X[:, 2]) == {0.0, 1.0, 2.0, 3.0}
    champion = at.registry.alias("visits", CHAMPION)
    shown = components_table(visits, champion, model)
    assert [column.header for column in shown.columns][-3:] == [
        f"{name}\n(most often)" for name in ("shop", "card", "weekend")
    ]


def test_a_day_of_other_levels_is_kept_aside(visits):
    rows = make_visits(DAYS[0])
    rows.loc[:99, "shop"] = "moved"
    at = memory_services({DAYS[0]: rows})
    with pytest.raises(BlockQuarantined, match="shop: other levels"):
        land(visits, DAYS[0], at)
    gaps = make_visits(DAYS[0])
    gaps.loc[:99, "shop"] = None
    with pytest.raises(BlockQuarantined, match="shop: present"):
        land(visits, DAYS[0], memory_services({DAYS[0]: gaps}))


def test_other_levels_are_another_fit(visits):
    data = visits_declaration()
    data["features"]["shop"]["levels"] = ["north", "south"]
    data["features"]["shop"]["other"] = 1.0
    other = Stream.model_validate(data)
    assert other.fit_fingerprint != visits.fit_fingerprint
    assert other.rows_fingerprint != visits.rows_fingerprint
    at = memory_services({DAYS[0]: make_visits(DAYS[0])})
    land(visits, DAYS[0], at)
    fit(visits, DAYS[0], at)
    land(other, DAYS[0], at)
    assert fit(other, DAYS[0], at).changed


def test_a_stream_without_categories_is_what_it_was():
    """Blocks landed and fitted before there were categorical features stay valid."""
    stream = Stream.model_validate(declaration())
    assert stream.rows_fingerprint == "597af217a88c3a76"
    explicit = declaration()
    for feature in explicit["features"].values():
        feature["type"] = "numeric"
    assert Stream.model_validate(explicit).rows_fingerprint == stream.rows_fingerprint
    assert stream.with_overrides(k=4).features == stream.features


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": []}, r"key 'features.shop.levels': got \[\]; allowed: .*at least 1"),
        ({"levels": ["a", "a"]}, r"key 'features.shop'.*\['a'\] are there twice"),
        ({"levels": ["(other)"]}, r"'\(other\)' is what Blockmix calls all other levels"),
        ({"levels": [1]}, "key 'features.shop.levels.0': got 1; allowed: .*valid string"),
        ({"other": 2}, "key 'features.shop.other': got 2"),
        (
            {"minimum": 0},
            "'features.shop.minimum': got 0; allowed: no such key; keys here: type, levels",
        ),
        ({"type": "numeric"}, "key 'features.shop.minimum'"),
        ({"type": "words"}, "key 'features.shop.type'"),
    ],
)
def test_mistakes_in_a_file_are_named(changes, message, tmp_path):
    data = copy.deepcopy(visits_declaration())
    data["features"]["shop"] |= changes
    (tmp_path / "visits.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InvalidStream, match=message):
        load_stream("visits", tmp_path)


def test_what_must_go_together(tmp_path):
    for name, changes, message in (
        (
            "a",
            {"window": {"blocks": 3, "strategy": "hotelling"}},
            r"window.strategy 'hotelling' does not know categorical.*set it to 'default'",
        ),
        (
            "b",
            {"features": {"shop": {"type": "categorical", "levels": ["x"]}}},
            "one at least must be numeric",
        ),
    ):
        data = visits_declaration(stream=name, **changes)
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(data))
        with pytest.raises(InvalidStream, match=message):
            load_stream(name, tmp_path)
