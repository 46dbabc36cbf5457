"""A served model over HTTP on loopback: latency of a row, rows a second of batches, what they cost."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from bench.measuring import seconds
from gmm_core.model import DensityModel

__all__ = ["saved", "serving"]

HOST = "127.0.0.1"
SINGLE, ROUNDS = 400, 4
LATENCY, RATE = 50.0, 100_000.0  # ms at most, rows a second at least
FORMS = ("rows", "columns", "packed")
_console = Console(width=120)


def serving(model: DensityModel, rows: pd.DataFrame) -> None:
    """One row at a time over one connection, then batches from as many clients as workers."""
    with tempfile.TemporaryDirectory(prefix="blockmix-bench-") as scratch:
        folder = saved(model, Path(scratch))
        _parts(folder, model, rows)
        for workers in sorted({1, os.cpu_count() or 1}):
            table = Table(title=f"batches of {len(rows):,} rows over HTTP, {workers} worker(s)")
            for name in (
                "request",
                "answer",
                "rows/s",
                "per s of processor",
                f"{RATE:,.0f} rows/s",
            ):
                table.add_column(name, justify="left" if name in ("request", "answer") else "right")
            for form in FORMS:
                with _served(folder, Path(scratch), workers, form) as (port, server):
                    if form == FORMS[0]:
                        _one_row(port, rows)
                    for kind, body in _bodies(rows).items():
                        table.add_row(
                            kind, form, *_batches(port, server, kind, body, len(rows), workers)
                        )
            _console.print(table)


def saved(model: DensityModel, scratch: Path) -> Path:
    """The folder of a served model, as it is registered."""
    from gmm_core.registry.packaging import save_served_model

    logged: Any = SimpleNamespace(artifact_location="model", source_run_id=None, model_id=None)
    return save_served_model(model, "", logged, scratch)


def _parts(folder: Path, model: DensityModel, rows: pd.DataFrame) -> None:
    """What a row costs without HTTP: the model alone, in MLflow's pyfunc, and in its scoring code."""
    import mlflow
    from mlflow.pyfunc.scoring_server import invocations

    pyfunc = {
        form: mlflow.pyfunc.load_model(str(folder), model_config={"form": form}) for form in FORMS
    }
    columns = {name: rows[name].to_numpy() for name in rows}

    def told(what: str, call: Any) -> None:
        best = min(seconds(call) for _ in range(1 + ROUNDS))
        _console.print(f"{what}: {1e6 * best / len(rows):.2f} us a row")

    for output in ("score", "contributions", "explanation"):
        told(f"the model, {output}", lambda output=output: model.output(columns, output))
    told("the same score as pyfunc", lambda: pyfunc["rows"].predict(rows))
    schema = pyfunc["rows"].metadata.get_input_schema()
    for kind, body in _bodies(rows).items():
        for form, served in pyfunc.items():
            told(
                f"scoring code of the server, {kind} to {form}",
                lambda b=body, k=kind, s=served: invocations(b, k.split(" ")[0], s, schema),
            )


def _bodies(rows: pd.DataFrame) -> dict[str, bytes]:
    parquet = io.BytesIO()
    rows.to_parquet(parquet, index=False)
    split, records = rows.to_dict("split", index=False), rows.to_dict("records")
    return {
        "application/vnd.apache.parquet": parquet.getvalue(),
        "text/csv": rows.to_csv(index=False).encode(),
        "application/json dataframe_split": json.dumps({"dataframe_split": split}).encode(),
        "application/json dataframe_records": json.dumps({"dataframe_records": records}).encode(),
        "application/json inputs": json.dumps({"inputs": rows.to_dict("list")}).encode(),
    }


@contextmanager
def _served(
    folder: Path, scratch: Path, workers: int, form: str
) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager",
        "local", "--host", HOST, "--port", str(port), "--workers", str(workers),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_PYFUNC_INFERENCE_CONFIG": json.dumps({"form": form}),
    }
    with (scratch / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=scratch, stdout=log, stderr=log, start_new_session=True, env=environment
        )
    try:
        _await(port, server, scratch / "server.log")
        yield port, psutil.Process(server.pid)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _await(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and server.poll() is None:
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/ping")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(log.read_text())


def _ask(connection: http.client.HTTPConnection, body: bytes, kind: str) -> bytes:
    connection.request("POST", "/invocations", body, {"Content-Type": kind.split(" ")[0]})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(text.decode())
    return text


def _one_row(port: int, rows: pd.DataFrame) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    bodies = [
        json.dumps({"dataframe_split": rows.iloc[[i]].to_dict("split", index=False)}).encode()
        for i in range(50)
    ]
    for body in bodies:  # the first answers load what they need
        _ask(connection, body, "application/json")
    took = [
        seconds(lambda i=i: _ask(connection, bodies[i % 50], "application/json"))
        for i in range(SINGLE)
    ]
    p50, p95, p99 = 1_000 * np.quantile(took, [0.5, 0.95, 0.99])
    _console.print(
        f"one row over HTTP: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms "
        f"({'within' if p95 < LATENCY else 'over'} {LATENCY:g} ms)"
    )


def _batches(
    port: int, server: psutil.Process, kind: str, body: bytes, n: int, clients: int
) -> list[str]:
    """Rows a second, also of the server's processor time: that is free of what else the machine does."""
    before = _processor_seconds(server)
    rate = clients * n / _together(port, body, kind, clients)
    busy = (_processor_seconds(server) - before) / (ROUNDS * clients * n)
    return [f"{rate:,.0f}", f"{1 / busy:,.0f}", "met" if rate >= RATE else "missed"]


def _processor_seconds(server: psutil.Process) -> float:
    times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def _together(port: int, body: bytes, kind: str, clients: int) -> float:
    """Least seconds in which as many clients have each had an answer, as bytes."""
    connections = [http.client.HTTPConnection(HOST, port, timeout=120) for _ in range(clients)]

    def once() -> None:
        list(pool.map(lambda connection: _ask(connection, body, kind), connections))

    with ThreadPoolExecutor(clients) as pool:
        return min(seconds(once) for _ in range(ROUNDS))
