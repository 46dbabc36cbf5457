"""The dbt package gmm_sql against the model in Python, on DuckDB and PostgreSQL; Spark: tests/spark."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from gmm_sql import agrees, compiled, density_model, mixed_model, parameters, rows_of
from native_stack import postgres_binaries

POSTGRES = postgres_binaries()
MODELS = {
    "one": density_model("diag", 1),
    "diagonal": density_model("diag", 3),
    "full": density_model("full", 3),
    "mixed": mixed_model(),
}
REFUSED = "version 3 has other features or levels than the ones named"


def test_duckdb(tmp_path):
    queries = compiled(tmp_path / "project", "duckdb", MODELS)
    with duckdb.connect() as engine:
        for name, model in MODELS.items():
            rows = rows_of(model)
            engine.register(f"rows_{name}", rows)
            engine.register(f"parameters_{name}", parameters(model))
            scored, joint = (engine.sql(queries[name][m]).df() for m in ("scored", "joint"))
            agrees(model, rows, scored, joint)
        engine.register("parameters_mixed", parameters(MODELS["full"]))
        with pytest.raises(duckdb.Error, match=REFUSED):
            engine.sql(queries["mixed"]["scored"]).df()


@pytest.fixture
def postgres() -> Iterator[Any]:
    """A cursor of a PostgreSQL server of its own, on loopback."""
    import psycopg2

    assert POSTGRES is not None
    folder = Path(tempfile.mkdtemp(prefix="blockmix-parity-"))  # pytest's own is closed to postgres
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    make = [
        POSTGRES / "initdb",
        "--pgdata",
        folder / "data",
        "--username=it",
        "--auth=trust",
        "--no-sync",
    ]
    subprocess.run(make, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
    serve = [str(POSTGRES / "postgres"), "-D", str(folder / "data"), "-p", str(port),
             "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]  # fmt: skip
    process = subprocess.Popen(serve, user=user, cwd="/", stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                link = psycopg2.connect(host="127.0.0.1", port=port, user="it", dbname="postgres")
                break
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        with link, link.cursor() as cursor:
            yield cursor
        link.close()
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.system
@pytest.mark.skipif(POSTGRES is None, reason="no PostgreSQL server (apt-get install postgresql)")
def test_postgres(postgres, tmp_path):
    import pandas as pd
    import psycopg2
    from psycopg2.extras import execute_values

    def load(table: str, frame: pd.DataFrame) -> None:
        kinds = {"O": "text", "f": "double precision", "i": "bigint", "b": "boolean"}
        columns = [f'"{name.replace(chr(34), 2 * chr(34))}"' for name in frame]
        types = [kinds[frame[name].dtype.kind] for name in frame]
        named = ", ".join(f"{c} {t}" for c, t in zip(columns, types, strict=True))
        postgres.execute(f"create table {table} ({named})")
        values = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
        execute_values(postgres, f"insert into {table} values %s", values)

    def ask(query: str) -> pd.DataFrame:
        postgres.execute(query)
        return pd.DataFrame(postgres.fetchall(), columns=[c.name for c in postgres.description])

    queries = compiled(tmp_path / "project", "postgres", MODELS)
    for name, model in MODELS.items():
        rows = rows_of(model)
        load(f"rows_{name}", rows)
        load(f"parameters_{name}", parameters(model))
        agrees(model, rows, ask(queries[name]["scored"]), ask(queries[name]["joint"]))
    postgres.execute("delete from parameters_mixed where parameter = 'log_level' and i = 4")
    with pytest.raises(psycopg2.Error, match=REFUSED):
        ask(queries["mixed"]["scored"])
