"""Real MLflow: a SQLite database, and one server on loopback for the whole run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from orders import FIRST, KEYS, make_rows

from gmm_core.answering.scoring import TailCurve
from gmm_core.block import fit_block
from gmm_core.features import to_matrix
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import Check, GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.registry.mlflow_registry import MlflowRegistry
from gmm_core.registry.server import server_command, server_environment
from gmm_core.summary import BlockSummary
from gmm_core.window import block_set_hash, window_mixture

PORT = 15231
UI = "http://mlflow.example"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a local server, started as the demo starts it."""
    root = tmp_path_factory.mktemp("mlflow")
    command = server_command(PORT, f"sqlite:///{root / 'mlflow.db'}", str(root / "artifacts"))
    address = f"http://127.0.0.1:{PORT}"
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **server_environment()},
        )  # fmt: skip
    try:
        _await(address, process, root / "server.log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(360):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.25)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a SQLite database in a folder that is not there yet."""
    return f"sqlite:///{tmp_path_factory.mktemp('direct') / 'deep' / 'mlflow.db'}"


@pytest.fixture(params=["database", "server"])
def registry(request: pytest.FixtureRequest) -> MlflowRegistry:
    """The registry over each kind of address."""
    return MlflowRegistry(request.getfixturevalue(request.param), ui_url=UI)


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> Stream:
    """A stream with a name of its own for every test, since the tests share one MLflow."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name.lower())
    return make_stream(name[-60:].strip("_").lstrip("0123456789_"))


def make_stream(name: str) -> Stream:
    return Stream.model_validate(
        {
            "stream": name,
            "description": "Orders of two groups of customers",
            "owner": "the-orders-team",
            "start": FIRST,
            "source": {
                "path": "orders.parquet",
                "time": "at",
                "columns": {"price": "price", "delay": "delay", "rating": "rating"},
            },
            "features": {
                "price": {"transform": "log", "minimum": 0.01, "maximum": 10_000, "unit": "euro"},
                "delay": {"transform": "log1p", "minimum": 0, "maximum": 1_000},
                "rating": {"minimum": -50, "maximum": 50},
            },
            "mixture": {"k": 3, "restarts": 1},
            "window": {"blocks": 4},
        }
    )


@cache
def fitted(key: str, seed: int | None) -> BlockSummary:
    """A block of an unnamed stream: the tests fit the same few over and over."""
    stream, rows = make_stream("unnamed"), make_rows(key, n=200, seed=seed)
    features, settings = stream.feature_list, stream.mixture
    return fit_block(
        stream.name,
        key,
        features,
        to_matrix(features, {feature.name: rows[feature.name] for feature in features}),
        k=settings.k,
        covariance_type=settings.covariance_type,
        regularisation=settings.regularisation,
        restarts=settings.restarts,
        max_iterations=settings.max_iterations,
        tolerance=settings.tolerance,
        seed=settings.seed,
        input_digest=f"digest of {key} {seed}",
        fit_fingerprint=stream.fit_fingerprint,
    )


tail_of = cache(TailCurve.of)


@pytest.fixture
def fit(stream: Stream) -> Callable[..., BlockSummary]:
    """A block of the stream; another seed gives the block other rows."""

    def of(key: str = KEYS[0], seed: int | None = None) -> BlockSummary:
        return replace(fitted(key, seed), stream=stream.name)

    return of


@pytest.fixture
def blocks(fit: Callable[..., BlockSummary]) -> list[BlockSummary]:
    return [fit(key) for key in KEYS[:2]]


@pytest.fixture
def model(stream: Stream, blocks: list[BlockSummary]) -> DensityModel:
    mixture = window_mixture(blocks, stream.mixture.k, stream.window.strategy)
    return DensityModel(stream.name, stream.feature_list, mixture, tail_of(mixture, 0), 0.995)


@pytest.fixture
def lineage(blocks: list[BlockSummary]) -> dict[str, str]:
    return {
        "block_set_hash": block_set_hash(blocks),
        "first_block": blocks[0].key,
        "last_block": blocks[-1].key,
        "blocks": str(len(blocks)),
        "rows": str(sum(block.rows for block in blocks)),
        "code_version": "1.2.3",
        "input_digest": "0123abcd",
        "settings": "k 3",
    }


@pytest.fixture
def report() -> Callable[..., GateReport]:
    def make(*failed: str, page: str = "") -> GateReport:
        names = ("mean kept", "weights sum to 1", "price: condition")
        checks = tuple(Check(name, name not in failed, "0.5", "at most 1") for name in names)
        return GateReport("fit", checks, page)

    return make


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and leave it as it was: MLflow likes to make databases there."""
    folder = tmp_path / "working_folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def run_of(registry: MlflowRegistry) -> Callable[[str], Any]:
    """The MLflow run that a page shows."""
    return lambda page: registry._mlflow.client.get_run(page.rsplit("/", 1)[1])
