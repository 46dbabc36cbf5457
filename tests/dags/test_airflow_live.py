"""The DAGs in a real Airflow, with real Spark, MLflow and Great Expectations, all on loopback.

Five days of the made-up stream `orders`; the second one arrives broken. The fixtures are the story,
each going on where the one before it ended: backfilled -> repaired -> requested.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import psutil
import pytest
import yaml
from live_airflow import Airflow, airflow_of
from orders import KEYS, declaration, make_rows

from demo.services import LOOPBACK, free_port
from gmm_core.config import Settings
from gmm_core.pipeline.wiring import Installation, open_services
from gmm_core.warehouse.models import models

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]
DAYS, BAD = KEYS[:5], KEYS[1]
FIT, MERGE, TRANSFORM = "orders_fit_block", "orders_merge_window", "orders_transform"


def write_source(folder: Path, *, broken: str | None) -> None:
    days = {key: make_rows(key, n=300) for key in DAYS}
    if broken:
        days[broken].loc[:20, "price"] = 1e6
    rows = pd.concat(days.values()).rename(columns={"event_time": "at"})
    rows["at"] = rows["at"].astype("datetime64[us]")
    rows.to_parquet(folder / "orders.parquet", index=False)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    home = tmp_path_factory.mktemp("installation")
    streams = home / "streams"
    streams.mkdir()
    declared = declaration(end=DAYS[-1], mixture={"k": 3, "restarts": 1}, window={"blocks": 3})
    declared["source"]["path"] = str(home / "orders.parquet")
    (streams / "orders.yaml").write_text(yaml.safe_dump(declared))
    (streams / "wrong.yaml").write_text(
        yaml.safe_dump({**declared, "stream": "wrong", "start": "May"})
    )
    write_source(home, broken=BAD)
    return Settings(
        home=home,
        streams=streams,
        spark_remote=f"sc://{LOOPBACK}:{free_port(15245)}",
        mlflow_ui=f"http://{LOOPBACK}:15259",  # only the address of pages: the store is SQLite
        data_docs_ui=f"http://{LOOPBACK}:{free_port(15250)}",
    )


@pytest.fixture(scope="module")
def airflow(settings: Settings) -> Iterator[Airflow]:
    with airflow_of(settings, dags=5) as api:
        yield api


@pytest.fixture(scope="module")
def services(settings: Settings) -> Installation:
    return open_services(settings)


@pytest.fixture(scope="module")
def backfilled(airflow: Airflow) -> Airflow:
    airflow.post(
        "/backfills",
        dag_id=FIT,
        from_date=f"{DAYS[0]}T00:00:00Z",
        to_date=f"{DAYS[2]}T00:00:00Z",
        max_active_runs=3,
        reprocess_behavior="completed",
    )
    airflow.settle(lambda: len(airflow.states(TRANSFORM)) == 2)
    return airflow


def test_a_wrong_stream_file_is_one_import_error(airflow, settings):
    (error,) = airflow.get("/importErrors")["import_errors"]
    assert error["filename"].endswith("check_streams.py")
    for part in (str(settings.streams / "wrong.yaml"), "'start'", "May"):
        assert part in error["stack_trace"]


def test_only_loopback_is_listened_on(airflow):
    listening = [
        socket.laddr
        for pid in airflow.pids
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for socket in process.net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {LOOPBACK}


def test_every_good_block_goes_all_the_way(backfilled):
    good = {DAYS[0]: "success", DAYS[2]: "success"}
    assert backfilled.states(FIT) == {**good, BAD: "failed"}
    assert backfilled.states(MERGE) == good, "a block that was refused starts no merge"
    assert backfilled.states(TRANSFORM) == good


def test_no_block_is_left_out_of_the_champion_whatever_came_first(backfilled, services):
    champion = services.registry.alias("orders", "champion")
    tags = champion.tags
    assert (tags["first_block"], tags["last_block"], tags["blocks"]) == (DAYS[0], DAYS[2], "2")


def failed_land(airflow: Airflow) -> str:
    (run,) = (run for run in airflow.runs(FIT) if run["state"] == "failed")
    return run["dag_run_id"]


def test_a_refused_block_is_red_at_once_and_says_why(backfilled):
    run_id = failed_land(backfilled)
    tasks = backfilled.tasks(FIT, run_id)
    assert tasks["land"]["state"] == "failed"
    assert tasks["land"]["try_number"] == 1, "a gate's refusal is not retried"
    assert tasks["fit"]["state"] == "upstream_failed"
    lines = backfilled.log(FIT, run_id, "land")
    tail = json.dumps(lines[-8:])
    assert f"the rows gate refused block {BAD} of orders" in tail
    assert "repeating cannot help" in tail
    (failure,) = (line for line in lines if line["event"] == "Task failed with exception")
    (detail,) = failure["error_detail"]
    assert detail["exc_type"] == "BlockQuarantined"
    assert not [f for f in detail["frames"] if "gmm_core" in f["filename"]], "no wall of traceback"


def links(airflow: Airflow, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
    where = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
    return airflow.get(where)["extra_links"]


def test_the_link_of_a_refused_task_opens_its_report(backfilled):
    found = links(backfilled, FIT, failed_land(backfilled), "land")
    assert found["MLflow"] is None
    page = httpx.get(found["Data Docs"])
    assert page.status_code == httpx.codes.OK
    assert "price" in page.text


def test_the_links_of_the_other_tasks(backfilled, settings):
    fitted = next(run for run in backfilled.runs(FIT) if run["partition_key"] == DAYS[0])
    of_fit = links(backfilled, FIT, fitted["dag_run_id"], "fit")
    assert of_fit["MLflow"].startswith(settings.mlflow_ui)
    assert httpx.get(of_fit["Data Docs"]).status_code == httpx.codes.OK
    merged = backfilled.runs(MERGE)[0]["dag_run_id"]
    assert "orders" in links(backfilled, MERGE, merged, "merge")["MLflow"]


def test_rows_are_scored_with_the_version_their_window_gave(backfilled, services):
    for run in backfilled.runs(TRANSFORM):
        facts = services.store.manifest("orders", "transformed", run["partition_key"])["facts"]
        version = services.registry.version("orders", facts["version"])
        assert version.last_block == run["partition_key"]


def test_every_dbt_model_is_a_green_task(backfilled):
    names = {f"models.{layer}.{name}" for layer, some in models().items() for name in some}
    for run in backfilled.runs(TRANSFORM):
        tasks = backfilled.tasks(TRANSFORM, run["dag_run_id"])
        assert set(tasks) == {"transform", "build", "marts", *names}
        assert {task["state"] for task in tasks.values()} == {"success"}


@pytest.fixture(scope="module")
def repaired(backfilled: Airflow, settings: Settings) -> Airflow:
    write_source(settings.home, broken=None)
    before = Counter(run["partition_key"] for run in backfilled.runs(MERGE))
    backfilled.post(
        f"/dags/{FIT}/clearTaskInstances",
        dry_run=False,
        dag_run_id=failed_land(backfilled),
        only_failed=True,
        reset_dag_runs=True,
    )

    def merged_anew() -> bool:
        now = Counter(run["partition_key"] for run in backfilled.runs(MERGE))
        return now[BAD] > before[BAD] and now[DAYS[2]] > before[DAYS[2]]

    backfilled.settle(merged_anew)
    return backfilled


def test_a_repaired_block_joins_its_own_and_every_later_window(repaired, services):
    assert set(repaired.states(FIT).values()) == {"success"}
    assert repaired.states(TRANSFORM) == dict.fromkeys(DAYS[:3], "success")
    champion = services.registry.alias("orders", "champion")
    assert champion.tags["blocks"] == "3"
    assert champion.last_block == DAYS[2], "filling in the past does not move consumers back"
    assert services.store.quarantined("orders") == {}


@pytest.fixture(scope="module")
def requested(repaired: Airflow) -> Airflow:
    form = {"stream": "orders", "first_day": DAYS[3], "last_day": DAYS[4], "k": 2, "window": 2}
    repaired.post("/dags/blockmix_request/dagRuns", logical_date=None, conf=form)
    repaired.settle(
        lambda: DAYS[4] in repaired.states(TRANSFORM) and DAYS[3] in repaired.states(TRANSFORM)
    )
    return repaired


def test_a_request_ends_in_scored_rows_of_a_window_with_its_settings(requested, services):
    assert {
        requested.states(dag_id)[key] for dag_id in (FIT, MERGE, TRANSFORM) for key in DAYS[3:]
    } == {"success"}
    champion = services.registry.alias("orders", "champion")
    assert champion.last_block == DAYS[4]
    assert champion.tags["blocks"] == "2", "the window of the request, not the stream's three"
    assert services.registry.load("orders", champion.version).mixture.n_components == 2
    facts = services.store.manifest("orders", "transformed", DAYS[4])["facts"]
    assert facts["version"] == champion.version


def test_a_request_can_follow_its_runs(requested):
    (run,) = requested.runs("blockmix_request")
    tasks = requested.get(f"/dags/blockmix_request/dagRuns/{run['dag_run_id']}/taskInstances")
    started = [task for task in tasks["task_instances"] if task["task_id"] == "start"]
    assert sorted(task["rendered_map_index"] for task in started) == DAYS[3:]


@pytest.mark.parametrize(
    ("dag_id", "conf", "says"),
    [
        (
            "blockmix_request",
            {"first_day": "2024-04-01", "last_day": DAYS[0]},
            "no such block",
        ),
        (FIT, {}, "this run names no block"),
    ],
)
def test_a_wrong_wish_fails_clearly(requested, dag_id, conf, says):
    run = requested.post(f"/dags/{dag_id}/dagRuns", logical_date=None, conf=conf)["dag_run_id"]
    where = f"/dags/{dag_id}/dagRuns/{run}"
    requested.settle(lambda: requested.get(where)["state"] == "failed", calm=0)
    (failed,) = (t for t in requested.tasks(dag_id, run).values() if t["state"] == "failed")
    assert failed["try_number"] == 1
    assert says in json.dumps(requested.log(dag_id, run, failed["task_id"])[-8:])
