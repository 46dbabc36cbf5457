"""Fits through Airflow's Spark provider: the task that submits, and the one that takes the answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from orders import declaration, make_rows

from gmm_core.config import SPARK_CONF, load_settings
from gmm_core.errors import BlockQuarantined, ComputationFailed, FitFailed, NotFound
from gmm_core.pipeline import verbs
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.memory import LocalEngine, MemoryServices, memory_services
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.submitting import submitted_fit, take_answer

KEY = "2024-05-01"


def test_without_the_setting_nothing_is_submitted(bag):
    assert bag.import_errors == {}
    assert list(bag.dags["orders_fit_block"].task_dict) == ["land", "fit"]


def test_with_a_connection_the_fit_is_submitted_between(declare, parse, stored, monkeypatch):
    monkeypatch.setenv("BLOCKMIX_SPARK_CONNECTION", "spark_cluster")
    declare()
    bag = parse()
    assert bag.import_errors == {}
    dag = bag.dags["orders_fit_block"]
    submit = dag.get_task("submit")
    assert submit.upstream_task_ids == {"land"}
    assert submit.downstream_task_ids == {"fit"}
    assert submit._conn_id == "spark_cluster"
    assert submit.properties_file == str(SPARK_CONF)
    assert Path(submit.application).is_file()
    assert set(stored(dag).task_dict) == {"land", "submit", "fit"}


def test_parsing_a_dag_that_submits_imports_no_spark(declare):
    program = (
        "import sys; sys.path.append('dags'); import fit_block;"
        "print(sorted({'pyspark', 'mlflow', 'great_expectations'} & set(sys.modules)))"
    )
    declare()
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True,
        cwd=Path(__file__).resolve().parents[2], env=os.environ | {"BLOCKMIX_SPARK_CONNECTION": "x"},
    )  # fmt: skip
    assert found.stdout.strip().splitlines()[-1] == "[]"


# The answer


@pytest.fixture
def orders():
    return Stream.model_validate(declaration())


@pytest.fixture
def services(orders):
    at = memory_services({KEY: make_rows(KEY)})
    verbs.land(orders, KEY, at)
    return at


def test_the_answer_is_the_outcome_of_the_verb(orders, services):
    submitted_fit(orders, KEY, "run 1", services)
    answer = take_answer(orders, KEY, "run 1", services)
    assert answer.changed
    again = verbs.fit(orders, KEY, services)
    assert (again.changed, again.facts) == (False, answer.facts)


def test_an_answer_to_another_request_is_none(orders, services):
    with pytest.raises(ComputationFailed, match="left no answer: got None; allowed: run 1"):
        take_answer(orders, KEY, "run 1", services)
    submitted_fit(orders, KEY, "run 1", services)
    with pytest.raises(ComputationFailed, match="left no answer: got 'run 1'"):
        take_answer(orders, KEY, "run 2", services)


def test_a_refusal_is_an_answer(orders, services, monkeypatch):
    def fail(*_):
        raise FitFailed("no start gave a usable mixture")

    monkeypatch.setattr(services.engine, "fit", fail, raising=False)
    submitted_fit(orders, KEY, "run 1", services)
    with pytest.raises(BlockQuarantined, match="no start gave a usable mixture") as caught:
        take_answer(orders, KEY, "run 1", services)
    assert "data_docs" in caught.value.pages


def test_a_block_that_has_not_landed_is_an_answer_too(orders, services):
    submitted_fit(orders, "2024-05-02", "run 1", services)
    with pytest.raises(NotFound, match="has not landed"):
        take_answer(orders, "2024-05-02", "run 1", services)


# The operator itself


@pytest.mark.system
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
def test_the_operator_runs_the_fit_in_an_application(declare, parse, run, monkeypatch):
    stream = load_stream("orders", declare(mixture={"k": 2, "restarts": 1}).parent)
    binaries = Path(sys.executable).parent
    for name, value in {
        "BLOCKMIX_SPARK_CONNECTION": "spark_here",
        "BLOCKMIX_SPARK_REMOTE": "sc://127.0.0.1:1",  # of no concern to what is submitted
        "AIRFLOW_CONN_SPARK_HERE": json.dumps({"conn_type": "spark", "host": "local[1]"}),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }.items():
        monkeypatch.setenv(name, value)
    for name in [name for name in os.environ if name.startswith(("SPARK_", "PYSPARK_"))]:
        monkeypatch.delenv(name)
    here = MemoryServices(LocalEngine({KEY: make_rows(KEY, n=200)}), Lake(load_settings().lake_url))
    verbs.land(stream, KEY, here)

    dag = parse().dags["orders_fit_block"]
    submit = dag.get_task("submit")
    values = {
        "run_id": "manual__1", "params": {"block_key": KEY, "k": 1, "covariance_type": None},
        "dag_run": type("Run", (), {"partition_key": None, "run_id": "manual__1"})(),
    }  # fmt: skip
    submit.render_template_fields(values)
    submit.execute(values)

    published = types.SimpleNamespace(xcom_push=lambda **_: None)
    context = {"params": {"block_key": KEY}, "run_id": "manual__1", "ti": published}
    outcome = run.run_verb("fit", stream, context)
    assert outcome.changed
    assert outcome.facts["rows"] == 200
    assert outcome.facts["k"] == 2, "twice the k that the run asked for"


# Connections of sources


def test_a_source_finds_the_airflow_connection_of_its_name(run, orders, monkeypatch):
    address = {"conn_type": "postgres", "host": "h", "login": "u@", "password": "p/", "schema": "d"}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(address))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    database = {"format": "postgres", "path": None, "connection": "shop", "table": "t"}
    stream = orders.model_copy(update={"source": orders.source.model_copy(update=database)})
    run._know_connection(stream)
    assert os.environ["BLOCKMIX_CONNECTION_SHOP"] == "postgres://u%40:p%2F@h/d"
    os.environ["BLOCKMIX_CONNECTION_SHOP"] = "postgres://mine"
    run._know_connection(stream)
    assert os.environ["BLOCKMIX_CONNECTION_SHOP"] == "postgres://mine", "the variable wins"
    run._know_connection(orders)  # of files: there is none to know
