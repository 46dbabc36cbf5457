"""A PostgreSQL server of the tests' own, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from native_stack import postgres_binaries

__all__ = ["PASSWORD", "POSTGRES_JAR", "Database"]

# Debian's package libpostgresql-jdbc-java; tests that need it are skipped without it.
POSTGRES_JAR = next(map(str, Path("/usr/share/java").glob("postgresql.jar")), "")

PASSWORD = "p@ss:/?#'\"%20 "  # what would break an address, a shell or an SQL text


class Database:
    """A new cluster with the superuser `postgres`; `close` ends it and forgets everything."""

    def __init__(self) -> None:
        found = postgres_binaries()
        assert found is not None
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
        import psycopg2

        with psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname="postgres"
        ) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
        connection.close()

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await(self) -> None:
        import psycopg2

        deadline = time.monotonic() + 30
        while True:
            try:
                return self.run("select 1")
            except psycopg2.OperationalError:
                assert self._process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
