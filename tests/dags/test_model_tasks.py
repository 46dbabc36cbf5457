"""The dbt models as tasks: which there are, and what they say after a good build and after a bad one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from orders import KEYS, make_rows

from gmm_core.pipeline import verbs
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.memory import LocalEngine, MemoryRegistry, MemoryServices
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.warehouse.models import models

KEY = KEYS[0]
PROJECT = Path(__file__).resolve().parents[2]
# Runs the real DAG on a block; only the transform is taken for done.
PROGRAM = """
import json, subprocess, sys
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag

subprocess.run([str(Path(sys.executable).parent / "airflow"), "db", "migrate"], check=True)
folder, key = sys.argv[1:]
dag = BundleDagBag(folder, bundle_path=folder, bundle_name="tests").dags["orders_transform"]
run = dag.test(run_conf={"block_key": key}, mark_success_pattern="^transform$")
states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
print("RESULT" + json.dumps({**states, "run": str(run.state)}))
"""


def task_ids():
    return {f"models.{layer}.{name}" for layer, names in models().items() for name in names}


def test_every_model_is_a_task_between_the_build_and_its_verdict(bag, stored):
    dag = bag.dags["orders_transform"]
    assert len(task_ids()) == len(list(PROJECT.glob("dbt/models/*/*.sql"))) >= 11
    assert set(dag.task_ids) == {"transform", "build", "marts", *task_ids()}
    for one in task_ids():
        task = stored(dag).get_task(one)
        assert (task.upstream_task_ids, task.downstream_task_ids) == ({"build"}, {"marts"})
        assert task.task_type == "EmptyOperator", "no process for it"


@pytest.fixture
def block(declare) -> Path:
    """The folder of the scored rows of a block, in the lake of the environment's installation."""
    folder = declare().parent
    stream = load_stream("orders", folder)
    lake = Path(os.environ["BLOCKMIX_HOME"]) / "lake"
    at = MemoryServices(LocalEngine({KEY: make_rows(KEY)}), Lake(str(lake)), MemoryRegistry())
    for verb in ("land", "fit", "merge", "promote", "transform"):
        getattr(verbs, verb)(stream, KEY, at)
    return Path(at.store.path("orders", "transformed", KEY))


def test_a_task_is_green_or_skipped_as_its_model_was_built(block, dags_folder, tmp_path):
    """Rows of another stream got into the folder; all models green: test_airflow_live.py."""
    rows = pd.read_parquet(block / "part-0.parquet", partitioning=None)
    rows[:5].assign(stream="visits").to_parquet(block / "part-1.parquet", index=False)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(dags_folder), KEY],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")},
        capture_output=True, text=True, check=True, timeout=400,
    )  # fmt: skip
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    states = json.loads(line.removeprefix("RESULT"))
    red = {name for name, state in states.items() if state == "failed"}
    assert red == {"run", "marts"}
    green = {name for name, state in states.items() if state == "success"} - {"transform", "build"}
    shown = {"staging.stg_components", "staging.stg_metrics"}
    shown |= {"marts.component_history", "marts.model_health"}
    assert green == {f"models.{name}" for name in shown}
    skipped = {name for name, state in states.items() if state == "skipped"}
    assert skipped == task_ids() - green
    assert "rows_lie_in_their_own_folder: Got 5 results" in done.stderr + done.stdout
