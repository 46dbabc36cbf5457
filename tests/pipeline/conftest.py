"""The orders stream (see tests/support/orders.py) as a stream file and as a stream."""

from __future__ import annotations

from typing import Any

import pytest
from orders import FIRST

from gmm_core.pipeline.streams import Stream


@pytest.fixture
def declared() -> dict[str, Any]:
    """The stream file's content."""
    return {
        "stream": "orders",
        "start": FIRST,
        "source": {
            "path": "orders.parquet",
            "time": "at",
            "columns": {"price": "price", "delay": "delay", "rating": "rating"},
        },
        "features": {
            "price": {"transform": "log", "minimum": 0.01, "maximum": 10_000},
            "delay": {"transform": "log1p", "minimum": 0, "maximum": 1_000},
            "rating": {"minimum": -50, "maximum": 50},
        },
        "mixture": {"k": 3, "restarts": 2},
        "window": {"blocks": 4},
    }


@pytest.fixture
def stream(declared: dict[str, Any]) -> Stream:
    return Stream.model_validate(declared)
