"""Which tests belong to one process when several run them, as `make test` does."""

from __future__ import annotations

from typing import Any

import pytest

ALONE = {"core", "house", "pipeline"}  # start no servers: each file may go anywhere


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A folder's tests share the servers that its fixtures start, and their ports."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServers(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::")[0]
            parts = path.split("/")
            return parts[1] if parts[0] == "tests" and parts[1] not in ALONE else path

    return ByServers(config, log)
