"""examples/over_http.py against MLflow's own scoring server, on loopback."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from demo.services import free_port

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "over_http.py"
FIRST_PORT = 15271


def over_http(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def serve(registered) -> Iterator[Callable]:
    """Serves the champion for a while, as loaded with a configuration; gives its address."""
    import mlflow
    import uvicorn
    from mlflow.pyfunc.scoring_server import init

    @contextmanager
    def served(**config: str) -> Iterator[str]:
        address = f"models:/{registered.stream.name}@champion"
        app, port = (
            init(mlflow.pyfunc.load_model(address, model_config=config)),
            free_port(FIRST_PORT),
        )
        server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()

    mlflow.set_tracking_uri(registered.uri)
    yield served
    mlflow.set_tracking_uri(None)


def test_the_answers_are_the_models_as_records_and_packed(serve, registered, tmp_path):
    out, columns = tmp_path / "out.parquet", dict(registered.rows.items())
    for config in ({}, {"form": "packed", "output": "component"}):
        with serve(**config) as address:
            ran = over_http(address, registered.file, "--out", out, "--batch", 128)
        assert ran.returncode == 0, ran.stderr
        got = pd.read_parquet(out)
        for name, values in registered.model.output(columns, config.get("output", "score")).items():
            np.testing.assert_array_equal(got[name], values)
        assert got["price"].tolist() == registered.rows["price"].tolist()


def test_what_goes_wrong_is_told_in_one_line(serve, registered, tmp_path):
    out, lacking, bad = (tmp_path / f"{name}.parquet" for name in ("out", "lacking", "bad"))
    registered.rows.drop(columns="price").to_parquet(lacking)
    registered.rows.assign(price=-1.0).to_parquet(bad)
    with serve() as address:
        refused = over_http(address, lacking, "--out", out)
        impossible = over_http(address, bad, "--out", out)
    nobody = over_http(address, registered.file, "--out", out)
    told = {
        "price": refused,
        "feature 'price' (log) has 300 bad values": impossible,
        "refused": nobody,
    }
    for why, ran in told.items():
        assert ran.returncode == 1
        assert ran.stderr.startswith("over_http: ")
        assert ran.stderr.count("\n") == 1
        assert why in ran.stderr
    assert not out.exists()
