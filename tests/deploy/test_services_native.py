"""The services of docker-compose.yml, run for real: PostgreSQL, Airflow, MLflow, Spark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from compose_file import PROJECT, environment_file, script
from native_stack import LOOPBACK, NativeStack

from bench.postgres import postgres_binaries

POSTGRES = postgres_binaries()
pytestmark = [
    pytest.mark.long,
    pytest.mark.system,
    pytest.mark.timeout(1800),  # the first test also waits for every service
    pytest.mark.skipif(
        POSTGRES is None, reason="no PostgreSQL server (apt-get install postgresql)"
    ),
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java"),
]
AWKWARD = "p@ss:/?#'\"%20 "  # what would break an address, a shell or an SQL text
PROXY = "mlflow.example"
ACCOUNTS = "root:admin:a-long-password-1,guest:viewer:a-long-password-2"


@pytest.fixture(scope="module")
def stack() -> Iterator[NativeStack]:
    settings = environment_file(script("new_env").filled((PROJECT / ".env.example").read_text()))
    for name in ("POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "MLFLOW_DB_PASSWORD"):
        settings[name] = AWKWARD + settings[name]
    folder = Path(tempfile.mkdtemp(prefix="blockmix-native-"))  # pytest's own is closed to postgres
    folder.chmod(0o755)
    settings |= {
        "AIRFLOW_ACCOUNTS": ACCOUNTS,
        "MLFLOW_HOST_NAME": PROXY,
        "MLFLOW_URL": f"https://{PROXY}",
    }
    running = NativeStack(folder, settings)
    try:
        start_postgres(running)
        running.up(started=["postgres"])
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


def start_postgres(stack: NativeStack) -> None:
    """What the server's image does: make the cluster, start it, run the init script."""
    env = stack.environment("postgres")
    data, user = stack.folder / "postgres", "postgres" if os.getuid() == 0 else None
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    secret = stack.folder / "pgpass"
    secret.write_text(env["POSTGRES_PASSWORD"])
    secret.chmod(0o644)
    assert POSTGRES is not None
    make = [
        POSTGRES / "initdb",
        "--pgdata",
        data,
        "--username=postgres",
        f"--pwfile={secret}",
        "--auth-local=trust",
        *env["POSTGRES_INITDB_ARGS"].split(),
    ]
    subprocess.run(make, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
    serve = [
        str(POSTGRES / "postgres"),
        "-D",
        str(data),
        "-k",
        str(data),
        "-h",
        LOOPBACK,
        "-p",
        str(stack.port("postgres")),
    ]
    stack.spawn("postgres", serve, env, user)
    stack.await_healthy("postgres", patience=30)
    script = PROJECT / "deploy" / "postgres" / "10-databases.sh"
    at = {
        "PGHOST": str(data),
        "PGPORT": str(stack.port("postgres")),
        "PATH": f"{POSTGRES}{os.pathsep}{env['PATH']}",
    }
    subprocess.run(["bash", script], env=env | at, check=True, user=user, cwd="/")


def sql(stack: NativeStack, user: str, password: str, database: str, query: str) -> Any:
    import psycopg2

    with (
        psycopg2.connect(
            host=LOOPBACK,
            port=stack.port("postgres"),
            user=user,
            password=password,
            dbname=database,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(query)
        return cursor.fetchall()


@pytest.fixture(scope="module")
def airflow(stack: NativeStack) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://{LOOPBACK}:{stack.port('airflow-api-server')}", timeout=60
    )


@pytest.fixture(scope="module")
def mlflow(stack: NativeStack) -> httpx.Client:
    return httpx.Client(base_url=f"http://{LOOPBACK}:{stack.port('mlflow')}", timeout=120)


def token(airflow: httpx.Client, user: str, password: str) -> httpx.Response:
    return airflow.post("/auth/token", json={"username": user, "password": password})


def bearer(airflow: httpx.Client, user: str, password: str) -> dict[str, str]:
    answer = token(airflow, user, password)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def address(stack: NativeStack) -> str:
    return stack.environment("airflow-scheduler")["BLOCKMIX_SPARK_REMOTE"]


def test_each_database_opens_to_its_owner_alone(stack: NativeStack) -> None:
    import psycopg2

    passwords = {
        name: stack.settings[f"{name.upper()}_DB_PASSWORD"] for name in ("airflow", "mlflow")
    }
    for name, password in passwords.items():
        assert sql(stack, name, password, name, "SELECT current_user") == [(name,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        sql(stack, "airflow", passwords["mlflow"], "airflow", "SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        sql(stack, "airflow", passwords["airflow"], "mlflow", "SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        sql(stack, "mlflow", passwords["mlflow"], "airflow", "SELECT 1")


def test_airflow_migrates_postgresql_and_answers(stack: NativeStack, airflow: httpx.Client) -> None:
    health = airflow.get("/api/v2/monitor/health").json()
    parts = ("metadatabase", "scheduler", "dag_processor")
    assert [health[part]["status"] for part in parts] == ["healthy"] * 3
    owner = ("airflow", stack.settings["AIRFLOW_DB_PASSWORD"], "airflow")
    tables = sql(stack, *owner, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {("dag_run",), ("task_instance",), ("alembic_version",)} <= set(tables)
    stack.once("airflow-init")  # an upgrade to what is there already changes nothing


def test_only_accounts_of_the_environment_enter(airflow: httpx.Client) -> None:
    assert airflow.get("/api/v2/dags").status_code == 401
    assert token(airflow, "root", "a-long-password-2").status_code == 401
    assert token(airflow, "admin", "admin").status_code == 401
    admin, guest = (bearer(airflow, *account.split(":")[::2]) for account in ACCOUNTS.split(","))
    assert airflow.get("/api/v2/dags", headers=admin).status_code == 200
    assert airflow.get("/api/v2/dags", headers=guest).status_code == 200
    variable = {"key": "a", "value": "1"}
    assert airflow.post("/api/v2/variables", headers=guest, json=variable).status_code == 403
    assert airflow.post("/api/v2/variables", headers=admin, json=variable).status_code == 201


def test_mlflow_keeps_runs_in_postgresql_and_files_behind_its_own_address(
    stack: NativeStack, mlflow: httpx.Client, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(str(mlflow.base_url), registry_uri=str(mlflow.base_url))
    run = client.create_run(client.create_experiment("native")).info
    assert run.artifact_uri.startswith("mlflow-artifacts:/")
    (tmp_path / "note.txt").write_text("kept")
    client.log_artifact(run.run_id, str(tmp_path / "note.txt"))
    kept = list((stack.folder / "var" / "lib" / "mlflow").rglob("note.txt"))
    assert [path.read_text() for path in kept] == ["kept"]
    owner = ("mlflow", stack.settings["MLFLOW_DB_PASSWORD"], "mlflow")
    assert sql(stack, *owner, "SELECT run_uuid FROM runs") == [(run.run_id,)]
    stack.once("mlflow-init")
    assert sql(stack, *owner, "SELECT run_uuid FROM runs") == [(run.run_id,)]


def test_mlflow_answers_to_its_names_only(stack: NativeStack, mlflow: httpx.Client) -> None:
    port = stack.port("mlflow")
    ours = {"Host": PROXY}
    query = "/api/2.0/mlflow/experiments/search"

    def ask(host: str) -> int:
        return mlflow.get(query, params={"max_results": 1}, headers={"Host": host}).status_code

    def post(origin: str) -> int:
        headers = ours | {"Origin": origin}
        return mlflow.post(query, json={"max_results": 1}, headers=headers).status_code

    assert {
        host: ask(host) for host in (f"mlflow:{port}", f"localhost:{port}", *ours.values())
    } == ({f"mlflow:{port}": 200, f"localhost:{port}": 200, ours["Host"]: 200})
    assert ask("evil.example") == 403
    assert post(f"https://{PROXY}") == 200
    assert post("https://evil.example") == 403


def test_spark_connect_computes_on_the_worker_with_our_code(stack: NativeStack) -> None:
    from pyspark.sql import SparkSession

    def fit(rows: Any) -> Any:
        import pandas as pd

        from gmm_core import Moments

        moments = Moments.of(rows[["x"]].to_numpy(float))
        return pd.DataFrame({"mean": moments.mean})

    session = SparkSession.builder.remote(address(stack)).create()
    try:
        groups = (
            session.range(1000).selectExpr("id % 2 AS g", "CAST(id AS DOUBLE) AS x").groupBy("g")
        )
        answer = groups.applyInPandas(fit, "mean double").toPandas()
    finally:
        session.stop()
    assert sorted(answer["mean"]) == [499.0, 500.0]
    master = httpx.get(f"http://{LOOPBACK}:{stack.ports['spark-master', 8080]}/json/").json()
    assert [worker["state"] for worker in master["workers"]] == ["ALIVE"]
    assert [(app["name"], app["state"]) for app in master["activeapps"]] == [
        ("blockmix", "RUNNING")
    ]


def test_spark_outlives_its_master(stack: NativeStack) -> None:
    from pyspark.sql import SparkSession

    stack.kill("spark-master")
    stack.start("spark-master")
    stack.await_healthy("spark-master", patience=120)
    time.sleep(20)  # a worker drops the executors of a driver that its new master does not know
    session = SparkSession.builder.remote(address(stack)).create()
    try:
        assert session.range(1000).selectExpr("id % 7 AS g").groupBy("g").count().count() == 7
    finally:
        session.stop()


def test_data_docs_serves_the_volume(stack: NativeStack) -> None:
    docs = stack.folder / "var" / "lib" / "blockmix" / "quality" / "gx" / "docs"
    (docs / "here.html").write_text("<h1>docs</h1>")
    url = f"http://{LOOPBACK}:{stack.port('data-docs')}"
    assert httpx.get(f"{url}/here.html").text == "<h1>docs</h1>"
    assert httpx.get(f"{url}/%2e%2e/%2e%2e/docs/here.html").status_code == 404


def test_a_block_goes_through_the_whole_pipeline(stack: NativeStack, airflow: httpx.Client) -> None:
    admin = bearer(airflow, "root", "a-long-password-1")
    dags = ("baskets_fit_block", "baskets_merge_window", "baskets_transform")
    wait(lambda: all(airflow.get(f"/api/v2/dags/{d}", headers=admin).is_success for d in dags), 120)
    asked = {"logical_date": None, "partition_key": "2017-03-14"}
    answer = airflow.post(f"/api/v2/dags/{dags[0]}/dagRuns", headers=admin, json=asked)
    assert answer.is_success, answer.text

    def state(dag: str) -> str:
        runs = airflow.get(f"/api/v2/dags/{dag}/dagRuns", headers=admin).json()["dag_runs"]
        states = {run["partition_key"]: run["state"] for run in runs}
        assert states.get("2017-03-14") != "failed", task_logs(stack)
        return states.get("2017-03-14", "")

    wait(lambda: all(state(dag) == "success" for dag in dags), 900)
    lake = stack.folder / "var" / "lib" / "blockmix" / "lake" / "baskets"
    assert list((lake / "_rows" / "transformed" / "block=2017-03-14").glob("*/*.parquet"))
    owner = ("mlflow", stack.settings["MLFLOW_DB_PASSWORD"], "mlflow")
    versions = sql(
        stack, *owner, "SELECT alias, version FROM registered_model_aliases WHERE name = 'baskets'"
    )
    assert ("champion", 1) in versions
    assert list((stack.folder / "var" / "lib" / "mlflow").rglob("MLmodel"))
    assert list((stack.folder / "var" / "lib" / "blockmix" / "warehouse").rglob("*.duckdb"))
    run = f"/api/v2/dags/baskets_merge_window/dagRuns/{newest(airflow, admin)}/taskInstances/merge"
    pages = airflow.get(f"{run}/xcomEntries/pages", headers=admin).json()["value"]
    pages = json.loads(pages) if isinstance(pages, str) else pages
    assert pages["mlflow"].startswith(f"https://{PROXY}/#/models/baskets")
    assert pages["data_docs"].startswith(f"http://localhost:{stack.port('data-docs')}/")
    assert httpx.get(pages["data_docs"]).status_code == 200


def newest(airflow: httpx.Client, headers: dict[str, str]) -> str:
    runs = airflow.get("/api/v2/dags/baskets_merge_window/dagRuns", headers=headers).json()
    return str(runs["dag_runs"][-1]["dag_run_id"])


def wait(until: Callable[[], bool], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not until():
        assert time.monotonic() < deadline, f"not within {patience:.0f} s"
        time.sleep(1.0)


def task_logs(stack: NativeStack) -> str:
    logs = (stack.folder / "var" / "log" / "airflow").glob("dag_id=*/**/*.log")
    return "\n".join(f"{path}:\n{path.read_text()[-1500:]}" for path in logs)
