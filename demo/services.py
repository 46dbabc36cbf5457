"""Starts the services the demo needs, each on loopback, and stops all of them again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from gmm_core.errors import ServiceUnavailable

__all__ = ["Service", "free_port", "free_ports", "running"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """One process: its command, its environment, and how to see that it is up."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    health: str = ""
    patience: float = 120.0


def free_ports(preferred: dict[str, int]) -> dict[str, int]:
    """A port of loopback for each name, no two the same."""
    found: dict[str, int] = {}
    for name, port in preferred.items():
        found[name] = free_port(port, set(found.values()))
    return found


def free_port(preferred: int, taken: Collection[int] = ()) -> int:
    """The preferred port of loopback, or the next one nobody listens on and that is not taken."""
    for port in range(preferred, preferred + 200):
        if port in taken:
            continue
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise ServiceUnavailable(
        "no free port",
        bound=f"{preferred} to {preferred + 199}",
        remedy="stop a program that listens there",
    )


@contextmanager
def running(
    services: list[Service], logs: Path, on_ready: Callable[[str, float], None]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run the services inside the block; `on_ready(name, seconds)` is told of each that answers.

    All are started at once and waited for in turn. Whatever ends the block, every process that
    was started, and every child of it, is stopped. Raises `ServiceUnavailable` naming the log
    when one ends early or stays silent.
    """
    logs.mkdir(parents=True, exist_ok=True)
    started: dict[str, subprocess.Popen[bytes]] = {}
    begin = time.monotonic()
    try:
        for service in services:
            started[service.name] = _start(service, logs)
        for service in services:
            _await(service, started[service.name], logs)
            on_ready(service.name, time.monotonic() - begin)
        yield started
    finally:
        _stop([process.pid for process in started.values()])


def _start(service: Service, logs: Path) -> subprocess.Popen[bytes]:
    with (logs / f"{service.name}.log").open("ab") as log:
        # A session of its own: Ctrl-C reaches the demo alone, which then stops them in order.
        return subprocess.Popen(
            service.command,
            env={**os.environ, **service.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await(service: Service, process: subprocess.Popen[bytes], logs: Path) -> None:
    deadline = time.monotonic() + service.patience
    while not _healthy(service):
        log = logs / f"{service.name}.log"
        if process.poll() is not None:
            raise ServiceUnavailable(
                f"{service.name} ended with status {process.returncode}", remedy=f"read {log}"
            )
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"{service.name} did not answer",
                got=f"{service.patience:.0f} s",
                remedy=f"read {log}",
            )
        time.sleep(0.25)


def _healthy(service: Service) -> bool:
    if service.health:
        try:
            return httpx.get(service.health, timeout=2.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False
    if service.port is None:
        return True
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, service.port)) == 0


def _stop(pids: list[int], grace: float = 15.0) -> None:
    family: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            family += [*parent.children(recursive=True), parent]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=grace)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5.0)
