"""What other jobs get: how fast a served model answers, and how well its score is calibrated.

python -m bench.consumers serving        # mlflow models serve on loopback: latencies and rows a second
python -m bench.consumers calibration    # docs/images/calibration.png, from the demo's baskets
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
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

from bench.measuring import seconds
from bench.window_cases import CASES
from gmm_core.answering.calibration import observed_shares, plot_calibration
from gmm_core.estimators.windowed import WindowedGaussianMixture
from gmm_core.features import Feature
from gmm_core.model import DensityModel

FEATURES = (
    Feature("amount", "log"), Feature("items", "log"), Feature("discount_share"), Feature("hour"),
)  # fmt: skip
HOST = "127.0.0.1"
SINGLE, BATCH, ROUNDS = 400, 20_000, 4
THRESHOLD = 0.995


def baskets() -> list[np.ndarray[Any, Any]]:
    """Ninety days of baskets in feature space, a block each."""
    (case,) = (case for case in CASES if case.name == "baskets, 90 days")
    return case.rows()[0]


def model_of(days: list[np.ndarray[Any, Any]]) -> DensityModel:
    """The model of a window, as the pipeline makes it."""
    window = WindowedGaussianMixture(6, window=len(days), random_state=0)
    for number, rows in enumerate(days):
        window.partial_fit(rows, key=number)
    return DensityModel.build("baskets", FEATURES, window.mixture_, THRESHOLD)


def serving() -> None:
    """One row at a time over one connection, then batches from as many clients as workers."""
    days = baskets()
    model = model_of(days[:7])
    X = np.concatenate(days)
    X = X[np.random.default_rng(0).integers(len(X), size=BATCH)]
    rows = pd.DataFrame({f.name: f.inverse(X[:, i]) for i, f in enumerate(FEATURES)})
    with tempfile.TemporaryDirectory(prefix="blockmix-bench-") as scratch:
        folder = _saved(model, Path(scratch))
        _in_process(folder, rows)
        for workers in (1, os.cpu_count() or 1):
            with _served(folder, Path(scratch), workers) as (port, server):
                _one_row(port, rows)
                _batches(port, server, rows, workers)


def _saved(model: DensityModel, scratch: Path) -> Path:
    from gmm_core.registry.packaging import save_served_model

    logged: Any = SimpleNamespace(artifact_location="model", source_run_id=None, model_id=None)
    return save_served_model(model, "", logged, scratch)


def _in_process(folder: Path, rows: pd.DataFrame) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(folder))
    for output in ("score", "contributions", "explanation"):
        best = min(
            seconds(lambda output=output: model.predict(rows, params={"output": output}))
            for _ in range(ROUNDS)
        )
        print(f"pyfunc in the process, {output}: {len(rows) / best:,.0f} rows/s")


@contextmanager
def _served(folder: Path, scratch: Path, workers: int) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager",
        "local", "--host", HOST, "--port", str(port), "--workers", str(workers),
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (scratch / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=scratch, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    try:
        _await(port, server, scratch / "server.log")
        yield port, psutil.Process(server.pid)
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _await(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/ping")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(log.read_text())


def _ask(connection: http.client.HTTPConnection, body: bytes, kind: str) -> Any:
    connection.request("POST", "/invocations", body, {"Content-Type": kind})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(text.decode())
    return json.loads(text)["predictions"]


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
    print(f"one row over HTTP: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")


def _batches(port: int, server: psutil.Process, rows: pd.DataFrame, workers: int) -> None:
    """Rows a second, also of the server's processor time: that is free of what else the machine does."""
    bodies = {
        "text/csv": rows.to_csv(index=False).encode(),
        "application/json": json.dumps(
            {"dataframe_split": rows.to_dict("split", index=False)}
        ).encode(),
    }
    for kind, body in bodies.items():
        before = _processor_seconds(server)
        rate = workers * len(rows) / _together(port, body, kind, workers)
        busy = (_processor_seconds(server) - before) / (ROUNDS * workers * len(rows))
        print(
            f"batches of {len(rows):,} over HTTP, {workers} worker(s), {kind}: {rate:,.0f} rows/s, "
            f"{1 / busy:,.0f} a second of processor time"
        )


def _processor_seconds(server: psutil.Process) -> float:
    times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def _together(port: int, body: bytes, kind: str, clients: int) -> float:
    """Least seconds in which as many clients have each had an answer."""
    connections = [http.client.HTTPConnection(HOST, port, timeout=120) for _ in range(clients)]

    def once() -> None:
        list(pool.map(lambda connection: _ask(connection, body, kind), connections))

    with ThreadPoolExecutor(clients) as pool:
        return min(seconds(once) for _ in range(ROUNDS))


def calibration(into: Path) -> None:
    """Shares of unusual baskets, expected and observed, on days that the model has not seen."""
    from matplotlib.figure import Figure

    days = baskets()
    model = model_of(days[:30])

    def score(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return model.tail.score(model.mixture.log_prob(rows))

    sets = {
        "drawn by the model": score(model.mixture.sample(20_000, seed=1)),
        "baskets of its 30 days": score(np.concatenate(days[:30])),
        "of the week after": score(np.concatenate(days[30:37])),
        "of a week two months later": score(np.concatenate(days[83:90])),
    }
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    plot_calibration(sets, THRESHOLD, figure.subplots())
    figure.savefig(into, dpi=110)
    for name, values in sets.items():
        shares = ", ".join(f"{share:.2%}" for share in observed_shares(values, [0.005, 0.05, 0.5]))
        print(
            f"{name} ({len(values):,} rows): {shares} observed where 0.5 %, 5 %, 50 % are expected"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["serving", "calibration"])
    parser.add_argument("--into", type=Path, default=Path("docs/images/calibration.png"))
    asked = parser.parse_args()
    serving() if asked.what == "serving" else calibration(asked.into)


if __name__ == "__main__":
    main()
