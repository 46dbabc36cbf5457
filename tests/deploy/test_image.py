"""The Dockerfile, what it copies, and what it installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from compose_file import PROJECT, raw

TEXT = (PROJECT / "deploy" / "Dockerfile").read_text()
STEPS = [
    tuple(line.split(None, 1))
    for line in re.sub(r"(?m)^\s*#.*\n", "", TEXT).replace("\\\n", " ").splitlines()
    if line.strip()
]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def copied() -> set[str]:
    return {rest.split()[0] for rest in arguments("COPY") if not rest.startswith("--from")}


def lock() -> dict[str, str]:
    text = (PROJECT / "requirements" / "lock.txt").read_text()
    return {name.lower(): pin for name, pin in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)}


def test_the_base_image_is_pinned_and_the_last_user_is_not_root() -> None:
    (base,) = arguments("ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11[\w.]*-slim-bookworm", base)
    assert set(arguments("FROM")) == {"${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"}
    after = [name for name, _ in STEPS][::-1]
    assert after.index("USER") < after.index("RUN")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", arguments("USER")[-1])


def test_nothing_is_fetched_but_locked_and_signed_packages() -> None:
    assert arguments("ADD") == []
    runs = " ".join(arguments("RUN"))
    assert not re.search(r"\b(curl|wget|git clone)\b|https?://", runs)
    assert re.findall(r"pip install", runs) == ["pip install"] * 2
    assert "--require-hashes --requirement /requirements/bootstrap.txt" in re.sub(r"\s+", " ", runs)
    assert re.search(r"runtime\.in --constraint /requirements/lock\.txt", runs)


def test_the_lock_has_every_requirement_and_the_database_drivers() -> None:
    lines = (PROJECT / "requirements" / "runtime.in").read_text().splitlines()
    wanted = {m[0].lower().replace("_", "-") for line in lines if (m := re.match(r"[\w.-]+", line))}
    assert {"asyncpg", "psycopg2-binary"} <= wanted
    assert wanted <= lock().keys()


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    patterns = [
        line
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert patterns[0] == "*"
    allowed = {line[1:] for line in patterns if line.startswith("!")}
    assert allowed == copied()
    assert all((PROJECT / name).is_dir() for name in allowed)


def test_every_volume_is_mounted_on_a_folder_that_its_user_owns() -> None:
    (install,) = re.findall(r"install --directory --owner=blockmix --group=blockmix([^&]+)", TEXT)
    owned = set(re.findall(r"/var/\S+", install))
    mounted = {
        volume.split(":")[1]
        for name, service in raw()["services"].items()
        for volume in service.get("volumes", [])
        if name != "postgres" and not volume.startswith(".")
    }
    assert mounted <= owned
    assert raw()["services"]["data-docs"]["command"][-1] in owned


def test_the_init_script_parses() -> None:
    done = subprocess.run(
        ["bash", "-n", PROJECT / "deploy" / "postgres" / "10-databases.sh"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_of_the_image_is_the_packages() -> None:
    done = subprocess.run(
        [sys.executable, PROJECT / "deploy" / "blockmix.py", "--help"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0
    assert "Usage: blockmix.py" in done.stdout


def test_commands_of_the_services_are_in_the_image() -> None:
    inside = "/opt/blockmix/"
    words = {
        word.removeprefix(inside)
        for service in raw()["services"].values()
        for word in (*service.get("command", []), *service.get("healthcheck", {}).get("test", []))
        if word.startswith(inside)
    }
    assert words == {"deploy/accounts.py", "deploy/probe.py"}
    assert all((PROJECT / word).is_file() and word.split("/")[0] in copied() for word in words)
