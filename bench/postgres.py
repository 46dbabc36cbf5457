"""A PostgreSQL server of one's own, on loopback, for as long as it is wanted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

__all__ = ["PASSWORD", "Database", "postgres_binaries"]

# Of a server that lives for a minute: what would break an address, a shell or an SQL text.
PASSWORD = "p@ss:/?#'\"%20 "  # noqa: S105


def postgres_binaries() -> Path | None:
    """The folder with the newest PostgreSQL server on this machine, or `None`."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    found = str(installed[-1]) if installed else shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def _major(binary: Path) -> int:
    return int(binary.parts[-3])


class Database:
    """A new cluster with the superuser `postgres`; `close` ends it and forgets everything."""

    def __init__(self) -> None:
        found = postgres_binaries()
        if found is None:
            raise LookupError("no PostgreSQL server (apt-get install postgresql)")
        self._user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
        self.folder = Path(tempfile.mkdtemp(prefix="blockmix-database-"))
        self.folder.chmod(0o755)
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        if self._user:
            shutil.chown(data, self._user)
        make = [
            found / "initdb", "--pgdata", data, "--username=postgres", f"--pwfile={secret}",
            "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8",
        ]  # fmt: skip
        subprocess.run(make, check=True, user=self._user, cwd="/", stdout=subprocess.DEVNULL)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        settings = ("fsync=off", "timezone=Asia/Tokyo", "listen_addresses=127.0.0.1")
        serve = [found / "postgres", "-D", data, "-k", data, "-p", str(self.port)]
        self._process = subprocess.Popen(
            [*serve, *(part for one in settings for part in ("-c", one))],
            user=self._user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._await()

    @property
    def address(self) -> str:
        """With user and password, as an environment variable has it."""
        return f"postgresql://postgres:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"

    def run(self, *statements: str) -> None:
        """Run SQL."""
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def ask(self, query: str) -> pd.DataFrame:
        """What a query answers; raises `psycopg2.Error`."""
        with self._cursor() as cursor:
            cursor.execute(query)
            return pd.DataFrame(cursor.fetchall(), columns=[one.name for one in cursor.description])

    def load(self, table: str, frame: pd.DataFrame) -> None:
        """Make a table of texts, doubles, whole numbers and booleans; NaN comes as NULL."""
        from psycopg2.extras import execute_values
        from psycopg2.sql import SQL, Identifier

        kinds = {"O": "text", "f": "double precision", "i": "bigint", "b": "boolean"}
        columns = SQL(", ").join(
            SQL("{} {}").format(Identifier(name), SQL(kinds[frame[name].dtype.kind]))
            for name in frame
        )
        values = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
        with self._cursor() as cursor:
            cursor.execute(SQL("create table {} ({})").format(Identifier(table), columns))
            execute_values(
                cursor, SQL("insert into {} values %s").format(Identifier(table)), values
            )

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        import psycopg2

        link = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname="postgres"
        )
        try:
            with link, link.cursor() as cursor:
                yield cursor
        finally:
            link.close()

    def _await(self) -> None:
        import psycopg2

        deadline = time.monotonic() + 30
        while True:
            try:
                return self.run("select 1")
            except psycopg2.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
