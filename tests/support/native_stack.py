"""Runs the services of docker-compose.yml as processes of this machine, on loopback.

Commands, environments and health checks are the file's own. Only what a container brings is
replaced: service names and ports become 127.0.0.1 and free ports, volumes become folders, the
image's interpreter and project become this checkout's.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from compose_file import PROJECT, dockerfile_environment, interpolated, raw

from bench.postgres import postgres_binaries

__all__ = ["LOOPBACK", "NativeStack"]

LOOPBACK = "127.0.0.1"
PORT_RANGE = range(15261, 15280)
# Every port that a service listens on inside its container.
LISTENS = {
    "postgres": (5432,),
    "airflow-api-server": (8080,),
    "airflow-scheduler": (8974,),
    "mlflow": (5000,),
    "spark-master": (7077, 8080),
    "spark-worker": (8081,),
    "spark-connect": (15002, 4040),
    "data-docs": (8000,),
}
_SECRET = re.compile(r"PASSWORD|SECRET|KEY|ACCOUNTS")
_FOLDER = re.compile(r"(?<![\w./-])(?:/opt/venv|/opt/blockmix|/tmp|/var)(?=/|$)")
BIN = Path(sys.executable).parent
DOCKERFILE = PROJECT / "deploy" / "Dockerfile"


@dataclass
class _Started:
    process: subprocess.Popen[bytes] | None
    reached: bool = False


class NativeStack:
    """The services of the compose file, started one by one and all stopped by `close`.

    Parameters
    ----------
    folder : a new folder that the volumes and logs go to.
    settings : the variables of an .env file; those of the published ports are set here.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = dict(zip(_listeners(), _free_ports(), strict=False))
        published = {
            "AIRFLOW_PORT": self.port("airflow-api-server"),
            "MLFLOW_PORT": self.port("mlflow"),
            "DATA_DOCS_PORT": self.port("data-docs"),
            "SPARK_UI_PORT": self.ports["spark-connect", 4040],
        }
        self.settings = settings | {name: str(port) for name, port in published.items()}
        self._services = interpolated(raw(), self.settings)["services"]
        self._folders = {
            "/opt/venv": str(BIN.parent),
            "/opt/blockmix": str(PROJECT),
            "/tmp": str(folder / "tmp"),
            "/var": str(folder / "var"),
        }
        for path in ("/tmp", "/logs", *re.findall(r"/var/lo?[gib]+/\S+", DOCKERFILE.read_text())):
            (folder / path[1:]).mkdir(parents=True)

    def port(self, service: str) -> int:
        """The port of this machine that stands for the service's first one."""
        return self.ports[service, LISTENS[service][0]]

    def environment(self, service: str) -> dict[str, str]:
        """The image's and the service's variables over what a process of this machine needs."""
        image = dockerfile_environment(DOCKERFILE)
        own = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        own |= {name: os.environ[name] for name in ("JAVA_HOME", "LANG") if name in os.environ}
        # What the image's path file does; tests may have put database drivers on the path.
        own["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *_given_path()])
        own["SPARK_LOCAL_IP"] = LOOPBACK  # a container has one address, this machine several
        given = {k: v for k, v in image.items() if k != "PATH"} | self._services[service].get(
            "environment", {}
        )
        return own | {
            name: str(value) if _SECRET.search(name) else self._here(service, str(value))
            for name, value in given.items()
        }

    def command(self, service: str) -> list[str]:
        """The service's command line."""
        words: list[str] = self._services[service]["command"]
        return [
            LOOPBACK if before == "--host" else self._here(service, word)
            for before, word in zip(["", *words], words, strict=False)
        ]

    def up(self, started: Iterable[str], patience: float = 900.0) -> None:
        """Start every service that is not `started`, each as soon as what it depends on allows."""
        running = {name: _Started(None) for name in started}
        deadline = time.monotonic() + patience
        while not all(self._reached(name, running) for name in self._services):
            for name in self._services.keys() - running.keys():
                if all(self._reached(other, running) for other in self._depends(name)):
                    running[name] = _Started(self.start(name))
            stuck = [name for name in running if not running[name].reached]
            assert time.monotonic() < deadline, "".join(map(self._last_words, stuck))
            time.sleep(1.0)

    def once(self, service: str, timeout: float = 180.0) -> None:
        """Run a service that ends; fails when it does."""
        process = self.start(service)
        assert process.wait(timeout) == 0, self._last_words(service)

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start a service that stays up."""
        return self.spawn(service, self.command(service), self.environment(service))

    def spawn(
        self, name: str, command: list[str], env: dict[str, str], user: str | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process that `close` ends, with all its children."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
            )
        self._open.callback(_end, process)
        self._processes[name] = process
        return process

    def kill(self, service: str) -> None:
        """End a service the hard way, as if its container had been killed."""
        self._processes[service].kill()
        self._processes[service].wait()

    def log(self, service: str) -> Path:
        return self.folder / "logs" / f"{service}.log"

    def healthy(self, service: str) -> bool:
        """Whether the service passes its own health check."""
        kind, *words = self._services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        check = [self._here(service, word) for word in words]
        env = self.environment(service)
        env["PATH"] = f"{env['PATH']}{os.pathsep}{postgres_binaries()}"
        done = subprocess.run(check, env=env, cwd=self.folder, capture_output=True, timeout=60)
        return done.returncode == 0

    def await_healthy(self, service: str, patience: float = 60.0) -> None:
        """Wait until the service passes its health check; fails with its log when it does not."""
        deadline = time.monotonic() + patience
        while not self.healthy(service):
            assert time.monotonic() < deadline, self._last_words(service)
            time.sleep(1.0)

    def close(self) -> None:
        """Stop everything, last started first."""
        self._open.close()

    def _depends(self, service: str) -> dict[str, dict[str, str]]:
        conditions: dict[str, dict[str, str]] = self._services[service].get("depends_on", {})
        return conditions

    def _reached(self, service: str, running: dict[str, _Started]) -> bool:
        """Whether a service ended well, if it is one that ends, or is healthy."""
        state = running.get(service)
        if state is None or state.reached:
            return state is not None
        code = state.process.poll() if state.process else None
        ends = self._services[service].get("restart") == "no"
        if code is not None and (code != 0 or not ends):
            raise AssertionError(self._last_words(service))
        state.reached = code == 0 if ends else self.healthy(service)
        return state.reached

    def _last_words(self, service: str) -> str:
        return f"\n{service}:\n{self.log(service).read_text(errors='replace')[-3000:]}"

    def _here(self, service: str, text: str) -> str:
        for (other, port), native in self.ports.items():
            if other == service:
                text = re.sub(rf"(?<![\d.]){port}(?!\d)", str(native), text)
            else:
                text = re.sub(rf"\b{other}:{port}\b", f"{LOOPBACK}:{native}", text)
        text = text.replace("0.0.0.0", LOOPBACK)
        text = re.sub(rf"(?<=\.host=){service}$", LOOPBACK, text)
        return _FOLDER.sub(lambda match: self._folders[match[0]], text)


def _given_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


def _listeners() -> list[tuple[str, int]]:
    return [(service, port) for service, ports in LISTENS.items() for port in ports]


def _free_ports() -> Iterable[int]:
    found = []
    for port in PORT_RANGE:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex((LOOPBACK, port)) != 0:
                found.append(port)
    assert len(found) >= len(_listeners()), f"too few free ports in {PORT_RANGE}"
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        family = [psutil.Process(process.pid)]
        family += family[0].children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=20)
    for survivor in alive:
        survivor.kill()
    process.wait()
