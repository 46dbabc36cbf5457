"""An Airflow home of the tests' own, and DAG bags of the real DAG files over any stream folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from orders import declaration

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"

DECLARED = declaration(owner="orders-team", end="2024-05-10", window={"blocks": 3})


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module", autouse=True)
def airflow_environment(airflow_home: Path) -> Iterator[None]:
    """Airflow reads its environment when it is first imported: no test file may do so at its top."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(airflow_home))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(DAGS))
        patch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(PROJECT / "plugins"))
        yield


@pytest.fixture(scope="session")
def dags_folder() -> Path:
    return DAGS


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Declares the made-up stream `orders`, changed as told, in a folder that Blockmix then reads."""
    folder = tmp_path / "streams"
    folder.mkdir()
    monkeypatch.setenv("BLOCKMIX_STREAMS", str(folder))
    monkeypatch.setenv("BLOCKMIX_HOME", str(tmp_path / "home"))

    def write(name: str = "orders", **changes: Any) -> Path:
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**DECLARED, "stream": name, **changes}, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def parse() -> Callable[..., Any]:
    """Parses a DAG folder as the DAG processor does."""

    def bag(folder: Path = DAGS) -> Any:
        from airflow.dag_processing.dagbag import BundleDagBag

        return BundleDagBag(str(folder), bundle_path=folder, bundle_name="tests")

    return bag


@pytest.fixture
def bag(declare: Callable[..., Path], parse: Callable[..., Any]) -> Any:
    """The DAGs of the one stream `orders`."""
    declare()
    return parse()


@pytest.fixture(scope="session")
def stored() -> Callable[[Any], Any]:
    """A DAG as scheduler and API server have it: after a round trip through the database's form."""

    def trip(dag: Any) -> Any:
        from airflow.serialization.serialized_objects import DagSerialization

        return DagSerialization.from_dict(DagSerialization.to_dict(dag))

    return trip


@pytest.fixture
def run() -> Iterator[Any]:
    """The module `blockmix_run`, imported as a DAG file imports it."""
    sys.path.append(str(DAGS))
    import blockmix_run

    yield blockmix_run
    sys.path.remove(str(DAGS))
