"""A person's word in a real Airflow: asked, answered, not answered in time, and gone back.

Two streams with the same orders. `asked` waits an hour for an answer, `timed` for half a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import yaml
from live_airflow import Airflow, airflow_of
from orders import KEYS, declaration, make_rows

from demo.services import LOOPBACK, free_port
from gmm_core.config import Settings
from gmm_core.pipeline.aliases import hold_of
from gmm_core.pipeline.wiring import Installation, open_services

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(1500)]

PROMOTION = {
    "asked": {"approval": "always", "answer_hours": 1},
    "timed": {"approval": "always", "answer_hours": 0.01, "answer": "hold"},
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    home = tmp_path_factory.mktemp("installation")
    (home / "streams").mkdir()
    small = {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    for name, promotion in PROMOTION.items():
        declared = declaration(stream=name, end=KEYS[3], promotion=promotion, **small)
        declared["source"]["path"] = str(home / "orders.parquet")
        (home / "streams" / f"{name}.yaml").write_text(yaml.safe_dump(declared))
    rows = pd.concat(make_rows(key, n=200) for key in KEYS[:4]).rename(columns={"event_time": "at"})
    rows["at"] = rows["at"].astype("datetime64[us]")
    rows.to_parquet(home / "orders.parquet", index=False)
    return Settings(
        home=home,
        streams=home / "streams",
        spark_remote=f"sc://{LOOPBACK}:{free_port(15245)}",
        data_docs_ui=f"http://{LOOPBACK}:{free_port(15250)}",
    )


@pytest.fixture(scope="module")
def airflow(settings: Settings) -> Iterator[Airflow]:
    with airflow_of(settings, dags=10) as api:
        yield api


@pytest.fixture(scope="module")
def services(settings: Settings) -> Installation:
    return open_services(settings)


def bring(airflow: Airflow, stream: str, key: str) -> None:
    airflow.post(f"/dags/{stream}_fit_block/dagRuns", logical_date=None, partition_key=key)


def await_until(airflow: Airflow, done: Any, patience: float = 400) -> None:
    begin = time.monotonic()
    while not done():
        assert time.monotonic() - begin < patience, airflow.summary()
        time.sleep(1)


def question(airflow: Airflow, stream: str, key: str) -> dict[str, Any] | None:
    """What is asked now of a block's window, if anything is."""
    found = airflow.get(f"/dags/{stream}_approve/dagRuns/~/hitlDetails")["hitl_details"]
    asked = (one for one in found if not one["response_received"])
    return next((one for one in asked if key in one["subject"]), None)


def answer(airflow: Airflow, asked: dict[str, Any], chosen: str) -> None:
    run = asked["task_instance"]["dag_run_id"]
    where = f"/dags/asked_approve/dagRuns/{run}/taskInstances/ask/-1/hitlDetails"
    airflow.http.patch(where, json={"chosen_options": [chosen]}).raise_for_status()


def scored(services: Installation, key: str) -> int | None:
    """The version that the rows of a block were scored with."""
    found = services.store.manifest("asked", "transformed", key)
    return found and found["facts"]["version"]


def serving(services: Installation, stream: str) -> int | None:
    found = services.registry.alias(stream, "champion")
    return found and found.version


def test_a_question_waits_is_answered_or_times_out(airflow: Airflow, services: Installation):
    for stream in PROMOTION:
        bring(airflow, stream, KEYS[0])
    airflow.settle(lambda: [serving(services, one) for one in PROMOTION] == [1, 1])
    for stream in PROMOTION:
        bring(airflow, stream, KEYS[1])
    await_until(airflow, lambda: question(airflow, "asked", KEYS[1]))
    asked = question(airflow, "asked", KEYS[1])
    assert asked["subject"] == f"asked: promote version 2, up to {KEYS[1]}?"
    assert "| serves now | 1 |" in asked["body"]
    assert asked["task_instance"]["state"] == "awaiting_input"
    await_until(airflow, lambda: airflow.states("timed_approve").get(KEYS[1]) == "success")
    assert serving(services, "timed") == 1, "nobody's answer is the stream's"
    assert services.registry.version("timed", 2).tags["answer"].startswith("nobody in time")
    assert serving(services, "asked") == 1, "it still waits"
    # The next day is merged, judged, asked about and scored while nobody has answered for this one.
    bring(airflow, "asked", KEYS[2])
    await_until(airflow, lambda: question(airflow, "asked", KEYS[2]))
    await_until(airflow, lambda: scored(services, KEYS[2]) == 1)
    assert airflow.states("asked_merge_window").get(KEYS[2]) == "success"
    assert question(airflow, "asked", KEYS[1]), "and the question before it is still open"
    answer(airflow, asked, "promote")
    await_until(airflow, lambda: scored(services, KEYS[1]) == 2)
    assert serving(services, "asked") == 2, "the block is scored again with what serves now"
    answer(airflow, question(airflow, "asked", KEYS[2]), "hold")
    airflow.settle(lambda: "answer" in services.registry.version("asked", 3).tags)
    assert serving(services, "asked") == 2


def test_a_rollback_from_the_form_is_not_undone_until_a_person_says_so(
    airflow: Airflow, services: Installation
):
    form = {"stream": "asked", "action": "go back", "why": "scores doubled", "version": None}
    airflow.post("/dags/blockmix_rollback/dagRuns", logical_date=None, conf=form)
    airflow.settle(lambda: serving(services, "asked") == 1)
    assert hold_of("asked", services).why == "scores doubled"
    assert services.registry.version("asked", 2).tags["rolled_back"].endswith("scores doubled")
    bring(airflow, "asked", KEYS[3])
    airflow.settle(lambda: airflow.states("asked_transform").get(KEYS[3]) == "success")
    assert serving(services, "asked") == 1, "no merge undoes it, and nobody is asked meanwhile"
    assert scored(services, KEYS[3]) == 1
    assert question(airflow, "asked", KEYS[3]) is None
    form |= {"action": "end the hold", "why": "repaired"}
    airflow.post("/dags/blockmix_rollback/dagRuns", logical_date=None, conf=form)
    airflow.settle(lambda: hold_of("asked", services) is None)
    assert services.registry.version("asked", 2).tags["hold_ended"].endswith("repaired")
    assert serving(services, "asked") == 1
