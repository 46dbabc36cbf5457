"""Look-ups of another job: the model as of a day, and the champion, read once and pinned."""

from __future__ import annotations

import numpy as np
import pytest
from orders import KEYS, make_rows

from gmm_core.config import load_settings
from gmm_core.errors import InvalidInput, NotFound
from gmm_core.registry import champion_of, model_as_of
from gmm_core.registry.mlflow_registry import MlflowRegistry


@pytest.fixture
def registered(database, stream, model, lineage, report):
    """Registers a version of the window up to a day; the components' ids tell versions apart."""
    registry = MlflowRegistry(database)

    def add(last_block: str) -> int:
        made = registry.register(stream, model, {**lineage, "last_block": last_block}, report())
        return made.version

    return add


def test_as_of_a_day_is_the_newest_that_knows_nothing_later(registered, stream, model, database):
    days = (KEYS[1], KEYS[4], KEYS[1], KEYS[3])  # the window up to day 1 is merged again
    assert [registered(day) for day in days] == [1, 2, 3, 4]
    found = {key: model_as_of(stream.name, key, database) for key in KEYS[1:6]}
    assert [one.version.version for one in found.values()] == [3, 3, 4, 2, 2]
    assert found[KEYS[3]].uri == f"models:/{stream.name}/4"
    assert found[KEYS[3]].model == model
    rows = make_rows(KEYS[5], n=20)
    for output in ("score", "explanation"):
        answer = found[KEYS[3]].predict(rows, output)[output]
        np.testing.assert_array_equal(answer, model.output(rows, output)[output])
    with pytest.raises(NotFound, match=f"got '{KEYS[0]}'"):
        model_as_of(stream.name, KEYS[0], database)
    with pytest.raises(InvalidInput, match="YYYY-MM-DD"):
        model_as_of(stream.name, "yesterday", database)


def test_the_champion_is_read_once(registered, stream, database, monkeypatch):
    with pytest.raises(NotFound, match="no champion"):
        champion_of(stream.name, database)
    registry, numbers = MlflowRegistry(database), [registered(key) for key in KEYS[:2]]
    registry.point(stream.name, "champion", numbers[0])
    monkeypatch.setenv("BLOCKMIX_TRACKING_URI", database)
    assert load_settings().mlflow_uri == database
    pinned = champion_of(stream.name)
    registry.point(stream.name, "champion", numbers[1])
    assert pinned.version.version == numbers[0]
    assert pinned.uri.endswith(f"/{numbers[0]}")
    assert champion_of(stream.name).version.version == numbers[1]
