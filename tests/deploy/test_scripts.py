"""The scripts of deploy/: accounts, health, fresh secrets."""

from __future__ import annotations

import http.server
import json
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_file import PROJECT, environment_file, raw, script, variables

accounts, new_env, probe = (script(name) for name in ("accounts", "new_env", "probe"))
GOOD = "ana:admin:correct-horse-1, bo:VIEWER:with:colons:in:it"


def test_accounts_become_users_and_a_private_file(tmp_path: Path) -> None:
    env = accounts.environment({"AIRFLOW_ACCOUNTS": GOOD, "KEPT": "1"}, tmp_path)
    path = Path(env.pop("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"))
    assert env == {"KEPT": "1", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ana:admin,bo:viewer"}
    assert json.loads(path.read_text()) == {"ana": "correct-horse-1", "bo": "with:colons:in:it"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "entry 1 .without a name. is not name:role:password"),
        ("ana", "entry 1 .ana. is not name:role:password"),
        ("ana:admin", "is not name:role:password"),
        (f"{GOOD},", "entry 3 .without a name. is not"),
        ("ana:boss:correct-horse-1", "role 'boss'; allowed: viewer, user, op, admin"),
        ("ana:admin:short", "entry 1 .ana. has a password of fewer than 12"),
        (f"{GOOD},ana:user:correct-horse-2", "entry 3 .ana. comes twice"),
        ("bo:viewer:correct-horse-1", "no account with role admin"),
    ],
)
def test_wrong_accounts_are_named_without_their_password(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        accounts.parse(text)
    assert "horse" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_accounts_becomes_the_command() -> None:
    show = "import os; print(os.environ['AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS'])"
    command = [sys.executable, PROJECT / "deploy" / "accounts.py", sys.executable, "-c", show]
    good = subprocess.run(command, env={"AIRFLOW_ACCOUNTS": GOOD}, capture_output=True, text=True)
    assert (good.returncode, good.stdout) == (0, "ana:admin,bo:viewer\n")
    bad = subprocess.run(command, env={}, capture_output=True, text=True)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("AIRFLOW_ACCOUNTS: entry 1")


ANSWERS = {
    "/up": (
        200,
        {"db": {"status": "healthy"}, "parser": {"status": "unhealthy"}, "url": "x", "none": ""},
    ),
    "/down": (503, {"db": {"status": "healthy"}}),
    "/list": (200, ["db"]),
}


class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS.get(self.path, (404, {}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.mark.parametrize("check", [("/up",), ("/up", "db"), ("/up", "url")])
def test_probe_passes_what_is_healthy(server: str, check: tuple[str, ...]) -> None:
    assert probe.problem(f"http://{server}{check[0]}", *check[1:]) == ""


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (("/down",), "503"),
        (("/gone",), "404"),
        (("/up", "parser"), "unhealthy"),
        (("/up", "none"), "none is ''"),
        (("/up", "missing"), "missing is None"),
        (("/list", "db"), "db is None"),
    ],
)
def test_probe_fails_what_is_not(server: str, check: tuple[str, ...], says: str) -> None:
    assert says in probe.problem(f"http://{server}{check[0]}", *check[1:])


def test_probe_knocks_and_tells_by_its_exit_status(server: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
        for address, status in ((server, 0), (closed, 1)):
            command = [sys.executable, PROJECT / "deploy" / "probe.py", f"tcp://{address}"]
            assert subprocess.run(command, capture_output=True).returncode == status
    assert "refused" in probe.problem(f"http://{closed}/")


def test_new_env_sets_every_required_variable_to_something_fit(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    (tmp_path / ".env.example").write_text((PROJECT / ".env.example").read_text())
    assert new_env.main(tmp_path) == ""
    env = environment_file((tmp_path / ".env").read_text())
    required = {name for name, operators in variables(raw()).items() if ":?" in operators}
    assert env.keys() == required
    assert len(set(env.values())) == len(env)
    Fernet(env["AIRFLOW_FERNET_KEY"])
    assert len(env["AIRFLOW_JWT_SECRET"]) >= 64
    assert accounts.parse(env["AIRFLOW_ACCOUNTS"])[0] == "admin:admin"
    assert all(len(env[name]) >= 32 for name in required - {"AIRFLOW_ACCOUNTS"})
    assert not any("$" in value for value in env.values())  # Compose would take it for a variable
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_new_env_leaves_an_env_file_alone(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("A=\n")
    (tmp_path / ".env").write_text("A=kept\n")
    assert "stays as it is" in new_env.main(tmp_path)
    assert (tmp_path / ".env").read_text() == "A=kept\n"
