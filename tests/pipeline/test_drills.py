"""Drills: bad days, and days that are only unusual, through the DAGs' functions and the real gate."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from orders import FIRST, declaration, make_rows

from expectations import ExpectationsGate
from gmm_core.errors import BlockQuarantined, InvalidInput
from gmm_core.pipeline.memory import MemoryServices, memory_services
from gmm_core.pipeline.releasing import release
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, land
from gmm_core.pipeline.windows import reference_blocks

ROWS = 1_000
DAYS = [str(FIRST + dt.timedelta(days=index)) for index in range(9)]
KEY = DAYS[7]


def day(key: str) -> pd.DataFrame:
    """A day's rows; some days are busier than others."""
    busy = np.random.default_rng(dt.date.fromisoformat(key).toordinal()).normal(0, 0.15)
    return make_rows(key, round(ROWS * np.exp(busy)))


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream.model_validate(declaration(mixture={"k": 2, "restarts": 1}))


@pytest.fixture(scope="module")
def at(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> MemoryServices:
    """A week of accepted days, and the gate that judges the next."""
    twins = memory_services({key: day(key) for key in DAYS})
    gate = ExpectationsGate(tmp_path_factory.mktemp("quality"))
    services = MemoryServices(twins.engine, twins.store, twins.registry, gate)
    for key in DAYS[:7]:
        land(stream, key, twins)
        fit(stream, key, twins)
    return services


def deliver(stream: Stream, at: MemoryServices, rows: pd.DataFrame, key: str = KEY) -> None:
    at.engine.blocks[key] = rows
    land(stream, key, at)
    fit(stream, key, at)


def good() -> pd.DataFrame:
    return day(KEY)


def yesterday_redated() -> pd.DataFrame:
    rows = day(DAYS[6])
    return rows.assign(event_time=rows["event_time"] + pd.Timedelta(days=1))


def poisoned(**values: float) -> pd.DataFrame:
    rows = good()
    rows.loc[rows.index[::100], list(values)] = list(values.values())  # 1 %
    return rows


def shuffled() -> pd.DataFrame:
    rows = good()
    return rows.assign(price=np.random.default_rng(0).permutation(rows["price"].to_numpy()))


STOPPED = {
    "numbers as text": (lambda: good().assign(price=good()["price"].map(str)), "price: numeric"),
    "cents for dollars": (lambda: good().assign(price=good()["price"] * 10), "price_as_before"),
    "yesterday again": (yesterday_redated, "not_delivered_before"),
    "another year": (
        lambda: good().assign(event_time=good()["event_time"] - pd.Timedelta(days=364)),
        "event_time: inside",
    ),
    "all null": (lambda: good().assign(delay=np.nan), "delay: present"),
    "constant": (lambda: good().assign(rating=1.0), "rating: varies"),
    "10 rows": (lambda: good().head(10), "rows: got 10"),
    "100 times the rows": (lambda: pd.concat([good()] * 100, ignore_index=True), "rows_as_before"),
    "NaN": (lambda: good().assign(price=good()["price"].where(good().index % 100 > 0)), "present"),
    "infinite": (lambda: poisoned(price=np.inf), "price: between"),
    "1 % in one far place": (lambda: poisoned(price=9_000.0, delay=900.0), "divergence_as_before"),
    "values of other rows": (shuffled, "divergence_as_before"),
}


@pytest.mark.parametrize("name", STOPPED)
def test_a_bad_day_is_stopped_for_its_own_reason(stream, at, name) -> None:
    rows, reason = STOPPED[name]
    with pytest.raises(BlockQuarantined, match=reason):
        deliver(stream, at, rows())
    assert at.store.summary(stream.name, KEY) is None
    entry = at.store.quarantined(stream.name)[KEY]
    assert reason in entry["reason"]
    assert entry["page"], "a person can read why"


def test_a_column_that_is_not_there_stops_before_anything_is_written(stream, at) -> None:
    with pytest.raises(InvalidInput, match="price"):
        deliver(stream, at, good().rename(columns={"price": "total"}))
    assert at.store.summary(stream.name, KEY) is None


@pytest.mark.parametrize(
    "rows",
    [
        good(),
        good().query("event_time.dt.hour < 13"),  # closed in the afternoon
        good().assign(price=1.1 * good()["price"]),  # a sale ended
        pd.concat([good(), good().head(300)]),
    ],
    ids=["ordinary", "short day", "dearer", "busy"],
)
def test_an_unusual_day_passes(stream, at, rows) -> None:
    deliver(stream, at, rows)
    assert at.store.quarantined(stream.name).get(KEY) is None
    _forget(stream, at)


def test_what_is_stopped_wrongly_can_be_let_in_and_is_then_the_rule(stream, at) -> None:
    """A price level that stays: a person releases the first day, and the days after it pass."""
    for key in DAYS[7:]:
        at.engine.blocks[key] = day(key).assign(price=10 * day(key)["price"])
    land(stream, KEY, at)
    with pytest.raises(BlockQuarantined, match="price_as_before"):
        fit(stream, KEY, at)
    release(stream, KEY, at, why="prices are in another currency now", by="tester")
    assert fit(stream, KEY, at).changed
    land(stream, DAYS[8], at)
    assert fit(stream, DAYS[8], at).changed
    _forget(stream, at)


def test_the_setting_turns_it_off_and_too_few_days_judge_nothing(stream, at) -> None:
    assert len(reference_blocks(stream, KEY, at)) == 7
    assert reference_blocks(stream, DAYS[6], at) == []
    off = {"against_window": {"on": False}}
    lax = Stream.model_validate(declaration(mixture={"k": 2, "restarts": 1}, gates=off))
    assert reference_blocks(lax, KEY, at) == []
    assert lax.rows_fingerprint == stream.rows_fingerprint, "it is no rule of rows"
    deliver(lax, at, STOPPED["cents for dollars"][0]())
    _forget(stream, at)


def _forget(stream: Stream, at: MemoryServices) -> None:
    """The days after the week never were."""
    for key in DAYS[7:]:
        for section in ("landed", "summaries"):
            at.store._files.remove(at.store._block(stream.name, section, key))
