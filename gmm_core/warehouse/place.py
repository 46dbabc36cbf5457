"""Where a stream's tables are, who may write them, and what they were last built for as a whole."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmm_core.errors import ServiceUnavailable

__all__ = ["PROJECT", "Place"]

PROJECT = Path(__file__).resolve().parents[2] / "dbt"


@dataclass(frozen=True)
class Place:
    """The files of one stream under the warehouse root.

    Parameters
    ----------
    root : folder of all warehouses, absolute.
    stream : name of the stream.
    patience : seconds to wait for another build of the stream.
    """

    root: Path
    stream: str
    patience: float = 120.0

    @property
    def file(self) -> Path:
        """The DuckDB file."""
        return self.root / f"{self.stream}.duckdb"

    @property
    def page(self) -> Path:
        """The documentation of the tables, one HTML file."""
        return self.root / f"{self.stream}.html"

    @property
    def work(self) -> Path:
        """The folder dbt works in: never the source tree, and one per stream."""
        return self.root / f"{self.stream}.dbt"

    @contextmanager
    def held(self) -> Iterator[None]:
        """One build of a stream at a time, over all processes: builds share the file and the parse.

        Raises `ServiceUnavailable` when the wait is longer than `patience`.
        """
        import fcntl  # not on every system that can import gmm_core

        self.work.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + self.patience
        with (self.work / "lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise self._busy() from None
                    time.sleep(0.1)
            yield

    def _busy(self) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"another build of {self.stream} holds the warehouse",
            got=str(self.file),
            bound=f"{self.patience:g} s of waiting",
            remedy="build again when it is done",
        )

    def is_built_for(self, variables: dict[str, Any]) -> bool:
        """Whether all tables were built, and passed, by this SQL for these variables."""
        try:
            built: object = json.loads(self._record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        return self.file.exists() and built == _fingerprint(variables)

    def remember(self, variables: dict[str, Any]) -> None:
        """Note that all tables were built, and passed, for these variables."""
        self._record.write_text(json.dumps(_fingerprint(variables), indent=1), encoding="utf-8")

    def forget(self) -> None:
        """Make the next build one of all blocks."""
        self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return self.work / "built.json"


def _fingerprint(variables: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for path in sorted(p for kind in ("*.sql", "*.yml") for p in PROJECT.rglob(kind)):
        digest.update(path.relative_to(PROJECT).as_posix().encode() + b"\0" + path.read_bytes())
    return {"project": digest.hexdigest(), "variables": variables}
