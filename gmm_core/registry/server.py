"""A local MLflow server over one database and one artifact folder, on loopback only."""

from __future__ import annotations

import sys

from gmm_core.errors import InvalidInput

__all__ = ["server_command", "server_environment"]


def server_command(
    port: int, backend_uri: str, artifact_root: str, *, own_files: bool = False
) -> list[str]:
    """The command line of a server on 127.0.0.1; start it with `server_environment` added.

    Parameters
    ----------
    port : TCP port, 1 to 65535.
    backend_uri : the database, such as `sqlite:////var/blockmix/mlflow.db`.
    artifact_root : folder or URL for artifacts.
    own_files : clients read and write artifacts themselves. What they store can be loaded without
        the server, from the database alone; they must see the same folder. Otherwise artifacts go
        through the server (mlflow-artifacts:), and its address is all a client needs.
    """
    if not 1 <= port <= 65535:
        raise InvalidInput("not a port", got=port, bound="1 to 65535")
    files = (
        ["--no-serve-artifacts", "--default-artifact-root", artifact_root]
        if own_files
        else ["--serve-artifacts", "--artifacts-destination", artifact_root]
    )
    return [
        sys.executable, "-m", "mlflow", "server",
        "--host", "127.0.0.1",
        "--port", str(port),
        "--backend-store-uri", backend_uri,
        *files,
        "--workers", "1",
    ]  # fmt: skip


def server_environment() -> dict[str, str]:
    """Variables for the server's process: no job runner (it doubles memory), nothing sent away."""
    return {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
