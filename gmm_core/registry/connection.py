"""One way to reach MLflow: quiet, quick to fail, safe when several processes start at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gmm_core.errors import InvalidInput, NotFound, ServiceUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Connection"]

# Defaults of MLflow that do not suit a pipeline; whoever set the variable knows better.
_QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a lock file of the working folder is not the model's
    # MLflow would try seven times over several minutes; the scheduler's retries are enough.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_LOCK_SECONDS = 120  # creating the tables takes a few seconds, longer on a busy machine
_SQLITE = "sqlite:///"


class Connection:
    """A tracking address, its client, and where new artifacts of a stream go.

    Parameters
    ----------
    tracking_uri : `http(s)://host:port`, `sqlite:///path`, or another database MLflow knows.
    artifact_root : folder or URL; without one a server chooses, and a SQLite database has its
        artifacts beside it.
    """

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        for name, value in _QUIET.items():  # before mlflow is imported: it reads some only then
            os.environ.setdefault(name, value)
        self.tracking_uri = tracking_uri
        self._database = _sqlite_file(tracking_uri)
        if artifact_root is None and self._database is not None:
            artifact_root = str(self._database.parent / "artifacts")
        if artifact_root is None and not tracking_uri.startswith(("http://", "https://")):
            raise InvalidInput(
                "MLflow needs a place for artifacts",
                got=tracking_uri,
                bound="http(s)://HOST:PORT, or sqlite:///PATH, or a database and an artifact_root",
            )
        self._artifact_root = artifact_root

    @cached_property
    def client(self) -> MlflowClient:
        """The client; made on first use, because importing mlflow takes seconds.

        Making a database's tables is not safe when two processes do it at once, so the first
        call to a SQLite database is made under a file lock beside it.
        """
        from mlflow import MlflowClient

        with self.asking("open"), _alone(self._database):
            client = MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client

    def artifact_location(self, stream: str) -> str | None:
        """URL for the stream's artifacts; `None` leaves the choice to the server."""
        root = self._artifact_root
        if root is None:
            return None
        base = root if "://" in root else Path(root).resolve().as_uri()
        return f"{base.rstrip('/')}/{stream}"

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Give the errors of MLflow their place in our tree; `what` says what was being done."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            code = getattr(error, "error_code", "")
            if code == "INVALID_PARAMETER_VALUE":
                raise InvalidInput(f"MLflow would not {what} ({reason})") from error
            if code == "RESOURCE_DOES_NOT_EXIST":
                raise NotFound(f"MLflow could not {what} ({reason})") from error
            raise ServiceUnavailable(
                f"MLflow at {self.tracking_uri} could not {what} ({reason})",
                remedy="see that it is up and reachable, then run again",
            ) from error


@contextmanager
def _alone(database: Path | None) -> Iterator[None]:
    """Hold the lock file beside a SQLite database; nothing to hold for another kind of address."""
    if database is None:
        yield
        return
    from filelock import FileLock, Timeout

    database.parent.mkdir(parents=True, exist_ok=True)
    lock = database.with_name(database.name + ".lock")
    try:
        with FileLock(lock, timeout=_LOCK_SECONDS):
            yield
    except Timeout:
        raise ServiceUnavailable(
            f"another process has held {lock} for {_LOCK_SECONDS} s",
            remedy="see which process is opening the database, then run again",
        ) from None


def _sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite address, or `None` for another kind of address."""
    if not uri.startswith("sqlite:"):
        return None
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    if not uri.startswith(_SQLITE) or path in ("", ":memory:"):
        raise InvalidInput(
            "not an address of a SQLite file", got=uri, bound="sqlite:///PATH/NAME.db"
        )
    return Path(path).resolve()
