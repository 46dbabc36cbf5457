"""Health of a service, as exit status 0 or 1: `probe.py URL [FIELD]`.

`tcp://host:port` has to accept a connection, `http://...` has to answer 200. With FIELD, the answer
is a JSON object in which FIELD is neither empty nor an object with a `status` other than "healthy".
Standard library only, since it runs every few seconds.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5.0  # seconds; below the timeout of every health check


def problem(url: str, field: str = "") -> str:
    """What is wrong with the service at `url`; empty when it is healthy."""
    address = urlsplit(url)
    try:
        if address.scheme == "tcp":
            socket.create_connection((address.hostname, address.port or 80), TIMEOUT).close()
            return ""
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310  (our own URLs)
            return _field_problem(json.load(answer), field) if field else ""
    except (OSError, ValueError) as error:
        return f"{url}: {error}"


def _field_problem(body: Any, field: str) -> str:
    value = body.get(field) if isinstance(body, dict) else None
    healthy = value.get("status") == "healthy" if isinstance(value, dict) else bool(value)
    return "" if healthy else f"{field} is {value!r}"


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:]) or 0)
