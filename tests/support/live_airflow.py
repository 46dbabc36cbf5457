"""A real Airflow with Spark and Data Docs, all on loopback, and what tests ask of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from demo.airflow import environment, migrate, processes
from demo.services import LOOPBACK, Service, free_port, running
from gmm_core.config import Settings


class Airflow:
    """What the tests ask of Airflow's REST interface."""

    def __init__(self, port: int, pids: list[int]) -> None:
        self.http = httpx.Client(base_url=f"http://{LOOPBACK}:{port}/api/v2", timeout=60)
        self.pids = pids

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self.http.get(path, params={"limit": 100, **params})
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        return self.get(f"/dags/{dag_id}/dagRuns", order_by="id")["dag_runs"]

    def states(self, dag_id: str) -> dict[str, str]:
        """State of the newest run of every block key."""
        return {
            run["partition_key"] or run["conf"]["block_key"]: run["state"]
            for run in self.runs(dag_id)
        }

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        found = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def log(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        where = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        answer = self.http.get(where, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return [line for line in answer.json()["content"] if isinstance(line, dict)]

    def settle(self, done: Callable[[], bool], patience: float = 600, calm: float = 4) -> None:
        """Wait until it is done and nothing has run for some seconds."""
        begin = last = time.monotonic()
        while time.monotonic() - last < calm or not done():
            assert time.monotonic() - begin < patience, self.summary()
            if self.get("/dags/~/dagRuns", state=["running", "queued"])["total_entries"]:
                last = time.monotonic()
            time.sleep(0.5)

    def summary(self) -> str:
        tasks = self.get("/dags/~/dagRuns/~/taskInstances")["task_instances"]
        lines = (f"{t['dag_id']} {t['dag_run_id']} {t['task_id']}: {t['state']}" for t in tasks)
        return "\n".join(["Airflow did not settle:", *lines])


@contextmanager
def airflow_of(settings: Settings, dags: int) -> Iterator[Airflow]:
    """Starts everything, waits until so many DAGs are parsed, and ends everything."""
    from gmm_core.spark.session import server_command, server_environment

    spark_port, docs_port = (
        int(url.rsplit(":", 1)[1]) for url in (settings.spark_remote, settings.data_docs_ui)
    )
    docs = settings.quality_root / "gx" / "docs"
    docs.mkdir(parents=True)
    port = free_port(15241)
    env = {**environment(settings.home, port, 3), **settings.environment()}
    migrate(env, settings.home / "logs" / "migrate.log")
    serve = [sys.executable, "-m", "http.server", str(docs_port), "--bind", LOOPBACK]
    services = [
        Service(
            "spark", server_command(spark_port, master="local[2]"), server_environment(), spark_port
        ),
        Service("docs", [*serve, "--directory", str(docs)], port=docs_port),
        *processes(env, port),
    ]
    with running(services, settings.home / "logs", lambda *_: None) as started:
        api = Airflow(port, [process.pid for process in started.values()])
        api.settle(lambda: api.get("/dags")["total_entries"] == dags, calm=0, patience=180)
        yield api
