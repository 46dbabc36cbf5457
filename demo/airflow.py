"""The embedded Airflow of the demo: its environment, its processes, and the calls it answers."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from demo.services import LOOPBACK, Service

__all__ = ["AirflowClient", "TaskState", "environment", "migrate", "processes"]

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PAGE = 100
PRELOAD = (
    "airflow.dag_processing.dagbag,airflow.sdk.execution_time.task_runner,"
    "airflow.providers.standard.operators.python,gmm_core.preload"
)


def environment(home: Path, port: int, parallelism: int) -> dict[str, str]:
    """Settings of an Airflow on SQLite whose only listening socket is loopback's."""
    address = f"http://{LOOPBACK}:{port}"
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home / "airflow"),
        # Several processes write to one SQLite file: wait for the lock rather than fail after 5 s.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow' / 'airflow.db'}?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        # A task is forked from a process that has imported what it needs: ready in a second.
        "AIRFLOW__CORE__MP_START_METHOD": "forkserver",
        "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD": PRELOAD,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        # How long a worker may sleep after its task has ended before it notices.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "great_expectations=WARNING py4j=WARNING",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }


def migrate(env: dict[str, str], log: Path) -> None:
    """Create or upgrade Airflow's database."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        subprocess.run(
            [str(BIN / "airflow"), "db", "migrate"],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=True,
        )


def processes(env: dict[str, str], port: int) -> list[Service]:
    """API server, scheduler (runs the tasks) and DAG processor; `--skip-serve-logs` keeps the
    scheduler from listening on every interface."""
    airflow = str(BIN / "airflow")
    return [
        Service(
            "airflow-api",
            [airflow, "api-server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"],
            env,
            health=f"http://{LOOPBACK}:{port}/api/v2/monitor/health",
        ),
        Service("airflow-scheduler", [airflow, "scheduler", "--skip-serve-logs"], env),
        Service("airflow-dag-processor", [airflow, "dag-processor"], env),
    ]


@dataclass(frozen=True)
class TaskState:
    """A task of the newest run of a DAG for a block key."""

    dag_id: str
    key: str
    run_id: str
    task_id: str
    state: str
    seconds: float | None
    started: str
    ended: str


class AirflowClient:
    """The few calls of Airflow's REST interface that the demo needs."""

    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://{LOOPBACK}:{port}/api/v2", timeout=30.0)
        self._keys: dict[str, str | None] = {}  # block key of each run

    def knows(self, dag_ids: Iterable[str]) -> bool:
        """Whether the DAGs have been parsed and are not paused."""
        answers = [self._http.get(f"/dags/{dag_id}") for dag_id in dag_ids]
        return all(a.status_code == httpx.codes.OK and not a.json()["is_paused"] for a in answers)

    def import_errors(self) -> list[str]:
        """Text of every DAG file that did not parse."""
        errors = self._get("/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def backfill(self, dag_id: str, first: str, last: str, max_active_runs: int) -> None:
        """Start a backfill of the block keys from first to last, both included."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": "completed",
            "max_active_runs": max_active_runs,
        }
        self._http.post("/backfills", json=body).raise_for_status()

    def trigger(self, dag_id: str, key: str) -> None:
        """Start one run for a block key."""
        body = {"logical_date": None, "partition_key": key}
        self._http.post(f"/dags/{dag_id}/dagRuns", json=body).raise_for_status()

    def changes(self, stream: str, since: dt.datetime) -> list[TaskState]:
        """Tasks of the stream's partitioned runs that changed since a moment, oldest first."""
        # Lists are read by GET: the POST forms write an audit row each time they are asked. Only
        # changes are asked for: a task instance costs the server milliseconds of CPU to tell of.
        mine = {"dag_id_prefix_pattern": f"{stream}_"}
        changed = self._list(
            "/dags/~/dagRuns/~/taskInstances",
            "task_instances",
            {**mine, "updated_at_gte": since.isoformat()},
        )
        if any(task["dag_run_id"] not in self._keys for task in changed):
            runs = self._list("/dags/~/dagRuns", "dag_runs", mine)
            self._keys |= {run["dag_run_id"]: run["partition_key"] for run in runs}
        return [
            TaskState(
                task["dag_id"],
                key,
                task["dag_run_id"],
                task["task_id"],
                task["state"] or "",
                _seconds(task),
                task["start_date"] or "",
                task["end_date"] or "",
            )
            for task in sorted(changed, key=lambda task: task["start_date"] or "")
            if (key := self._keys.get(task["dag_run_id"]))
        ]

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        for attempt in Retrying(
            stop=stop_after_attempt(5),
            wait=wait_exponential(max=8),
            reraise=True,
            retry=retry_if_exception_type(httpx.HTTPError),
        ):
            with attempt:
                answer = self._http.get(path, params=params)
                answer.raise_for_status()
        data: dict[str, Any] = answer.json()
        return data

    def _list(self, path: str, name: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            data = self._get(path, **params, offset=len(items), limit=PAGE)
            items += data[name]
            if len(items) >= data["total_entries"] or not data[name]:
                return items


def _seconds(task: dict[str, Any]) -> float | None:
    # Airflow's own `duration` is wrong by whole seconds on SQLite.
    if not task["start_date"] or not task["end_date"]:
        return None
    begin, end = (_moment(task[name]) for name in ("start_date", "end_date"))
    return end - begin


def _moment(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
