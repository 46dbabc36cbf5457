"""A lake written by the real verbs: three blocks, two model versions, and its warehouse."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from orders import KEYS, make_rows

from gmm_core.pipeline import verbs
from gmm_core.pipeline.lake import Lake
from gmm_core.pipeline.memory import LocalEngine, MemoryRegistry, MemoryServices
from gmm_core.pipeline.streams import Stream
from gmm_core.warehouse import MartsBuilt, build_marts

FIRST, SECOND, THIRD = KEYS[:3]
SHOP = 'Shop\'s "no"'  # columns to group by may be called anything


@dataclass(frozen=True)
class Site:
    """A lake and its warehouse."""

    stream: Stream
    lake: Path
    warehouse: Path
    registry: MemoryRegistry

    def build(self, key: str | None = None) -> MartsBuilt:
        return build_marts(self.stream, key, str(self.lake), self.warehouse)

    def query(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(str(self.warehouse / "orders.duckdb"), read_only=True) as open_file:
            return open_file.sql(sql).df()

    def folder(self, section: str, key: str) -> Path:
        return self.lake / "orders" / section / f"block={key}"

    def components(self, key: str) -> Path:
        """The table of the components of a day's one version."""
        (path,) = self.folder("components", key).glob("v*.parquet")
        return path

    def file(self, key: str, name: str = "part-0") -> Path:
        """A file of the scored rows of a block."""
        return Path(Lake(str(self.lake)).path("orders", "transformed", key)) / f"{name}.parquet"

    def rows(self, key: str) -> pd.DataFrame:
        """The scored rows of a block as they lie in the lake."""
        return pd.read_parquet(self.file(key), partitioning=None)

    def write(self, key: str, rows: pd.DataFrame, name: str = "part-0") -> None:
        rows.to_parquet(self.file(key, name), index=False)


def order_stream(**changes: Any) -> Stream:
    declared: dict[str, Any] = {
        "stream": "orders",
        "start": FIRST,
        "source": {
            "path": "orders.parquet",
            "time": "at",
            "group_by": ["order_id", SHOP],
            "entity": SHOP,
            "columns": {"price": "price", "delay": "delay", "rating": "rating", "tips": "tips"},
        },
        "features": {
            "price": {"transform": "log", "minimum": 0.01, "maximum": 10_000},
            "delay": {"transform": "log1p", "minimum": 0, "maximum": 1_000},
            "rating": {"minimum": -50, "maximum": 50},
        },
        "mixture": {"k": 3, "restarts": 2},
        "window": {"blocks": 4},
        "scoring": {"anomaly_above": 0.98},
    }
    return Stream.model_validate({**declared, **changes})


def _rows(key: str) -> pd.DataFrame:
    rows = make_rows(key)
    rows.insert(0, "order_id", range(len(rows)))
    # Every day ten shops are new, and ten do not come back.
    rows.insert(1, SHOP, rows["order_id"] % 70 + 10 * KEYS.index(key))
    return rows.assign(tips=rows["price"] * 0.1)


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("site")
    stream, registry = order_stream(), MemoryRegistry()
    engine = LocalEngine({key: _rows(key) for key in (FIRST, SECOND, THIRD)})
    at = MemoryServices(engine, Lake(str(root / "lake")), registry)
    for key in (FIRST, SECOND, THIRD):
        verbs.land(stream, key, at)
        verbs.fit(stream, key, at)
        if key != SECOND:  # the second day has no model of its own: the first one's scores it
            verbs.merge(stream, key, at)
            verbs.promote(stream, key, at)
        verbs.transform(stream, key, at)
    # The name holds a quote and a glob pattern: SQL and globs are to read it as a name.
    lake = (root / "lake").rename(root / "lake [it's]")
    return Site(stream, lake, root / "warehouse", registry)


@pytest.fixture(scope="session")
def first_build(_built: Site) -> MartsBuilt:
    """The build that finds no warehouse; asked for one block, it builds all."""
    return _built.build(THIRD)


@pytest.fixture
def site(_built: Site, first_build: MartsBuilt) -> Iterator[Site]:
    """The built site. A test may change lake and warehouse: both are put back after it."""
    assert first_build.passed
    kept = _built.lake.parent / "kept"
    for folder in (_built.lake, _built.warehouse):
        shutil.copytree(folder, kept / folder.name)
    yield _built
    for folder in (_built.lake, _built.warehouse):
        shutil.rmtree(folder)
        shutil.move(kept / folder.name, folder)


@pytest.fixture
def dbt(site: Site) -> Callable[..., dict[str, str]]:
    """Run a dbt command on the site's warehouse; answers status by node name."""
    from gmm_core.warehouse.marts import _variables
    from gmm_core.warehouse.place import Place
    from gmm_core.warehouse.running import _environment, _options

    def run(*command: str, key: str = "") -> dict[str, str]:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.adapters.factory import reset_adapters
        from dbt.cli.main import dbtRunner

        place = Place(site.warehouse, "orders")
        variables = _variables(site.stream, str(site.lake / "orders"))
        options = ["--no-write-json", *_options(place, variables, "file")]
        environment = {
            "BLOCKMIX_WAREHOUSE_FILE": str(place.file),
            "BLOCKMIX_LAKE_PROTOCOL": "file",
            "BLOCKMIX_BLOCK": key,
        }
        with _environment(environment):
            answer = dbtRunner().invoke([*command, *options])
        reset_adapters()
        DuckDBConnectionManager.close_all_connections()
        assert answer.exception is None, answer.exception
        return {result.node.name: str(result.status) for result in answer.result.results}

    return run
