"""Reaching MLflow: quick to fail, safe to start at once, and imported only when used."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gmm_core.errors import InvalidInput, ServiceUnavailable
from gmm_core.registry.connection import Connection
from gmm_core.registry.mlflow_registry import MlflowRegistry
from gmm_core.registry.server import server_command

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:15239"


def test_nobody_answers():
    registry = MlflowRegistry(NOBODY)
    start = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=rf"MLflow at {NOBODY} could not open .*reachable"):
        registry.alias("orders", "champion")
    assert time.monotonic() - start < 30


def test_artifacts_cannot_be_written(database, tmp_path, stream, model, lineage, report):
    (tmp_path / "taken").write_text("a file, not a folder")
    registry = MlflowRegistry(database, artifact_root=str(tmp_path / "taken"))
    with pytest.raises(ServiceUnavailable, match="could not register a version"):
        registry.register(stream, model, lineage, report())
    assert registry.find(stream.name, {}) is None


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "m.db").write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(ServiceUnavailable, match="could not open"):
        MlflowRegistry(f"sqlite:///{tmp_path}/m.db").alias("orders", "champion")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:m.db"])
def test_addresses_of_no_file(uri):
    with pytest.raises(InvalidInput, match="SQLite file"):
        Connection(uri)


def test_another_database_needs_an_artifact_root():
    with pytest.raises(InvalidInput, match="place for artifacts"):
        Connection("postgresql://host/mlflow")
    given = Connection("postgresql://host/mlflow", "s3://bucket/mlflow/")
    assert given.artifact_location("orders") == "s3://bucket/mlflow/orders"


def test_where_artifacts_go(tmp_path):
    assert Connection("http://host:5000").artifact_location("orders") is None
    beside = Connection(f"sqlite:///{tmp_path}/m.db").artifact_location("orders")
    assert beside == f"file://{tmp_path}/artifacts/orders"


START = """
import sys
sys.path.insert(0, sys.argv[1])
from gmm_core.pipeline.ports import GateReport
from gmm_core.registry.mlflow_registry import MlflowRegistry
registry = MlflowRegistry(sys.argv[2])
with registry._mlflow.asking("start"):
    print("EXPERIMENT", registry._runs.experiment("orders"))
"""


def test_several_processes_start_at_once(tmp_path):
    """Each makes the database, its tables and the experiment, unless another was faster."""
    command = [sys.executable, "-c", START, str(PROJECT), f"sqlite:///{tmp_path}/new/m.db"]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=170) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert ended == [("EXPERIMENT 1\n", "")] * 2  # and neither has anything to tell


def test_mlflow_is_imported_when_it_is_used():
    program = (
        "import sys, gmm_core.registry.mlflow_registry as m, gmm_core.registry.server;"
        f"m.MlflowRegistry({NOBODY!r});"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & {'mlflow', 'pandas'}))"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_server_binds_to_loopback_only():
    command = server_command(5000, "sqlite:////m.db", "/artifacts")
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "0.0.0.0" not in command
    for port in (0, 65536):
        with pytest.raises(InvalidInput, match="not a port"):
            server_command(port, "sqlite:////m.db", "/artifacts")
