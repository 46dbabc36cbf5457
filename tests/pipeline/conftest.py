"""The orders stream (see tests/support/orders.py) as a stream file and as a stream."""

from __future__ import annotations

from typing import Any

import pytest
from orders import KEYS, declaration, make_rows

from gmm_core.pipeline.memory import MemoryServices, memory_services
from gmm_core.pipeline.streams import Stream


@pytest.fixture
def declared() -> dict[str, Any]:
    """The stream file's content."""
    return declaration()


@pytest.fixture
def stream(declared: dict[str, Any]) -> Stream:
    return Stream.model_validate(declared)


@pytest.fixture
def at() -> MemoryServices:
    """The ports in memory, with rows for every key."""
    return memory_services({key: make_rows(key) for key in KEYS})
