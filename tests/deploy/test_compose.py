"""docker-compose.yml: its syntax, its rules, and that the rules would notice."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_file import (
    COMPOSE,
    PROJECT,
    ComposeError,
    environment_file,
    interpolated,
    raw,
    script,
    variables,
)
from compose_rules import problems

import gmm_core

FILE = raw()
ENV = environment_file(script("new_env").filled((PROJECT / ".env.example").read_text()))
Service = dict[str, Any]


def test_the_compose_file_keeps_to_the_schema_and_every_rule() -> None:
    assert problems(raw(), ENV) == []


def test_the_image_has_the_version_of_the_package() -> None:
    assert interpolated(raw(), {**ENV, "BLOCKMIX_VERSION": ""})["services"]["mlflow"]["image"] == (
        f"blockmix:{gmm_core.__version__}"
    )


def change(service: str, **keys: Any) -> Callable[[Any], None]:
    """Set keys of a service; `None` takes one away."""

    def apply(document: Any) -> None:
        for key, value in keys.items():
            if value is None:
                del document["services"][service][key]
            else:
                document["services"][service][key] = value

    return apply


def add_environment(service: str, **values: str) -> Callable[[Any], None]:
    return lambda document: document["services"][service]["environment"].update(values)


CHANGES = {
    "unknown key": (change("mlflow", port=["5000"]), "schema: services.mlflow: .*'port'"),
    "privileged": (change("mlflow", privileged=True), "schema: .*'privileged'"),
    "host network": (change("mlflow", network_mode="host"), "schema: .*'network_mode'"),
    "added capability": (change("mlflow", cap_add=["SYS_ADMIN"]), "schema: .*'cap_add'"),
    "command as text": (
        change("mlflow", command="mlflow server"),
        "schema: services.mlflow.command",
    ),
    "list environment": (
        change("mlflow", environment=["A=b"]),
        "schema: services.mlflow.environment",
    ),
    "number for text": (add_environment("mlflow", A=1), "schema: services.mlflow.environment.A"),  # type: ignore[arg-type]
    "misspelt condition": (
        change("mlflow", depends_on={"mlflow-init": {"condition": "healthy"}}),
        "schema: .*condition",
    ),
    "short dependency": (change("mlflow", depends_on=["mlflow-init"]), "schema: .*depends_on"),
    "misspelt restart": (change("mlflow", restart="allways"), "schema: .*restart"),
    "check without a kind": (
        change("mlflow", healthcheck={"test": ["python", "probe.py"]}),
        "schema: .*healthcheck.test",
    ),
    "wrong duration": (change("mlflow", stop_grace_period="soon"), "schema: .*stop_grace_period"),
    "no services": (lambda d: d["services"].clear(), "schema: services"),
    "unknown section": (lambda d: d.update(secrets={}), "schema: .*'secrets'"),
    "latest": (change("postgres", image="postgres:latest"), "images: postgres.*no version"),
    "no tag": (change("postgres", image="postgres"), "images: postgres.*no version"),
    "another image": (change("mlflow", image="mlflow:3.17"), "images: our services must share"),
    "no build": (change("mlflow", build=None), "images: our services must share"),
    "no health check": (change("mlflow", healthcheck=None), "health: mlflow"),
    "check of what ends": (
        change("mlflow-init", healthcheck={"test": ["CMD", "true"]}),
        "health: mlflow-init ends",
    ),
    "waits for start only": (
        change("mlflow", depends_on={"mlflow-init": {"condition": "service_started"}}),
        "dependencies: mlflow must wait for mlflow-init with service_completed",
    ),
    "waits for an end": (
        change(
            "mlflow-init", depends_on={"postgres": {"condition": "service_completed_successfully"}}
        ),
        "dependencies: mlflow-init must wait for postgres with service_healthy",
    ),
    "waits for nobody": (
        change("mlflow", depends_on={"mysql": {"condition": "service_healthy"}}),
        "dependencies: .*mysql",
    ),
    "circle": (
        change("postgres", depends_on={"mlflow": {"condition": "service_healthy"}}),
        "dependencies: services wait for each other",
    ),
    "port of every address": (change("mlflow", ports=["5000:5000"]), "exposure: mlflow publishes"),
    "port of all addresses": (
        change("mlflow", ports=["0.0.0.0:5000:5000"]),
        "exposure: mlflow publishes",
    ),
    "database port": (
        change("postgres", ports=["127.0.0.1:5432:5432"]),
        "exposure: postgres must not",
    ),
    "connect port": (
        change("spark-connect", ports=["127.0.0.1:15002:15002"]),
        "exposure: spark-connect must not",
    ),
    "code beside the data": (
        change("spark-worker", networks=["compute", "database"]),
        "exposure: spark-worker must be on",
    ),
    "code within reach": (
        change("mlflow", networks=["database", "compute"]),
        "exposure: mlflow must not reach",
    ),
    "database in the open": (
        change("postgres", networks=["database", "default"]),
        "exposure: postgres must be on",
    ),
    "open database network": (
        lambda d: d["networks"]["database"].update(internal=False),
        "exposure: the network database",
    ),
    "unknown network": (change("mlflow", networks=["elsewhere"]), "exposure: mlflow is on"),
    "capabilities": (change("mlflow", cap_drop=None), "privileges: mlflow: cap_drop"),
    "new privileges": (change("mlflow", security_opt=[]), "privileges: mlflow: security_opt"),
    "writable": (change("mlflow", read_only=False), "privileges: mlflow: read_only"),
    "root": (change("mlflow", user="root"), "privileges: mlflow runs as root"),
    "root by default": (change("postgres", user=None), "privileges: postgres runs as root"),
    "never restarted": (change("mlflow", restart=None), "endurance: mlflow: restart"),
    "endless log": (change("mlflow", logging={"driver": "local"}), "endurance: mlflow: the log"),
    "writable host folder": (
        change("mlflow", volumes=["mlflow-artifacts:/var/lib/mlflow", "./dags:/dags"]),
        "volumes: mlflow",
    ),
    "missing host folder": (
        change("mlflow", volumes=["mlflow-artifacts:/var/lib/mlflow", "./gone:/dags:ro"]),
        "volumes: mlflow",
    ),
    "undeclared volume": (
        change("mlflow", volumes=["elsewhere:/var/lib/mlflow"]),
        "volumes: .*elsewhere",
    ),
    "unused volume": (lambda d: d["volumes"].update(spare={}), "volumes: .*spare"),
    "literal secret": (
        add_environment("mlflow", PGPASSWORD="hunter2"),
        "secrets: mlflow.PGPASSWORD",
    ),
    "default secret": (
        add_environment("mlflow", PGPASSWORD="${MLFLOW_DB_PASSWORD:-hunter2}"),
        "secrets: mlflow.PGPASSWORD",
    ),
    "secret that may be empty": (
        add_environment("mlflow", PGPASSWORD="${MLFLOW_DB_PASSWORD}"),
        "secrets: mlflow.PGPASSWORD",
    ),
    "secret in an address": (
        add_environment(
            "mlflow", URI="postgresql://mlflow:${MLFLOW_DB_PASSWORD:?}@postgres/mlflow"
        ),
        "secrets: mlflow has a password",
    ),
    "unknown host": (
        add_environment("mlflow", URI="http://elsewhere:80"),
        "hosts: mlflow .*elsewhere",
    ),
    "misspelt setting": (
        add_environment("airflow-scheduler", BLOCKMIX_LAKES="x"),
        "settings: .*BLOCKMIX_LAKES",
    ),
    "misspelt Airflow option": (
        add_environment("airflow-scheduler", AIRFLOW__CORE__FERNET="x"),
        "settings: .*AIRFLOW__CORE__FERNET",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_rules_notice(name: str) -> None:
    apply, expected = CHANGES[name]
    document = copy.deepcopy(FILE)
    apply(document)
    found = problems(document, ENV)
    assert any(re.search(expected, problem) for problem in found), found


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    compose = next(_compose_commands(), None)
    if compose is None:
        pytest.skip("no docker compose on this machine")
    env = tmp_path / "env"
    env.write_text("".join(f"{name}={value}\n" for name, value in ENV.items()))
    command = [*compose, "--env-file", str(env), "--file", str(COMPOSE), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _compose_commands() -> Iterator[list[str]]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            yield command


# What docker compose 2.40 makes of the same texts, with SET=yes and EMPTY= in its environment.
INTERPOLATIONS = {
    "${SET}": "yes",
    "${EMPTY}": "",
    "${UNSET}": "",
    "${SET:-no}": "yes",
    "${EMPTY:-no}": "no",
    "${EMPTY-no}": "",
    "${UNSET-no}": "no",
    "${SET:+a${SET}}": "ayes",
    "${EMPTY:+a}": "",
    "${EMPTY+a}": "a",
    "${UNSET:-http://h:${UNSET:-80}}/": "http://h:80/",
    "a$${SET}b": "a${SET}b",
}


@pytest.mark.parametrize("text", INTERPOLATIONS)
def test_interpolation_is_that_of_compose(text: str) -> None:
    assert interpolated(text, {"SET": "yes", "EMPTY": ""}) == INTERPOLATIONS[text]


@pytest.mark.parametrize("text", ["${UNSET:?say so}", "${EMPTY:?say so}", "${UNSET?say so}"])
def test_a_required_variable_must_have_a_value(text: str) -> None:
    with pytest.raises(ComposeError, match="say so"):
        interpolated(text, {"EMPTY": ""})


@pytest.mark.parametrize("text", ["$SET", "${SET", "${1SET}", "${}"])
def test_wrong_variables_are_refused(text: str) -> None:
    with pytest.raises(ComposeError):
        interpolated(text, {"SET": "yes"})


def test_without_an_env_file_the_first_missing_secret_is_named() -> None:
    with pytest.raises(ComposeError, match=r"AIRFLOW_\w+ has no value: set it in .env"):
        interpolated(raw(), {})


def test_the_example_has_every_variable_and_no_other() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    pairs = [match for line in lines if (match := re.match(r"(# )?([A-Z_]+)=(.*)", line))]
    used = variables(raw())
    assert {match[2] for match in pairs} == set(used)
    required = {match[2] for match in pairs if not match[1]}
    assert required == {name for name, operators in used.items() if ":?" in operators}
    shown = {match[2]: match[3] for match in pairs if match[1]}
    assert interpolated(raw(), {**ENV, **shown}) == interpolated(raw(), ENV)


def test_the_manual_names_what_an_operator_must_know() -> None:
    manual = (PROJECT / "docs" / "deployment.md").read_text()
    used = variables(raw())
    wanted = [
        name for name, operators in used.items() if ":?" in operators or name.endswith("_PORT")
    ]
    missing = [
        name
        for name in (*wanted, *raw()["volumes"], *raw()["services"])
        if f"`{name}`" not in manual
    ]
    assert missing == []
