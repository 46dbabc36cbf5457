"""What docker-compose.yml must keep to beyond the syntax; a rule yields its violations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import jsonschema
from compose_file import PROJECT, interpolated

__all__ = ["problems"]

SCHEMA = json.loads((PROJECT / "tests" / "deploy" / "compose.schema.json").read_text())
FOREIGN = {"postgres"}  # services with an image of somebody else's
CODE_EXECUTION = {"spark-master", "spark-worker", "spark-connect"}  # whoever reaches them runs code
_SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|ACCOUNTS|CREDENTIAL")
_REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
_IN_ADDRESS = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_HOST = re.compile(r"(?:\w|\+)+://(?:[^@/\s]+@)?([a-z0-9.-]+)")

Services = Mapping[str, dict[str, Any]]


def problems(raw: dict[str, Any], env: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the file; `raw` has its variables as written."""
    found = [
        f"schema: {'.'.join(map(str, error.path))}: {error.message}"
        for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(raw)
    ]
    if found:
        return found
    found += [f"secrets: {text}" for text in secrets(raw)]
    document = interpolated(raw, env)
    for rule in RULES:
        found += [f"{rule.__name__}: {text}" for text in rule(document["services"], document)]
    return found


def secrets(raw: dict[str, Any]) -> Iterator[str]:
    """A secret comes from a variable that has to be set, and is part of nothing else."""
    for name, service in raw["services"].items():
        for key, value in service.get("environment", {}).items():
            if _SECRET.search(key) and not _REQUIRED.fullmatch(value):
                yield f"{name}.{key} must be ${{{key}:?message}}, got {value!r}"
        if _IN_ADDRESS.search(json.dumps(service)):
            yield f"{name} has a password in an address"


def images(services: Services, _: Any) -> Iterator[str]:
    """One image built from this folder for all services but the foreign; every tag is a version."""
    ours = {
        (service["image"], json.dumps(service.get("build")))
        for name, service in services.items()
        if name not in FOREIGN
    }
    if len(ours) != 1 or "null" in str(ours):
        yield f"our services must share one image and its build, got {sorted(ours)}"
    for name, service in services.items():
        if not re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*(@sha256:\w{64})?", service["image"]):
            yield f"{name}: image {service['image']!r} has no version for a tag"


def health(services: Services, _: Any) -> Iterator[str]:
    """What stays up has a health check with all its times; what ends has none."""
    times = {"test", "interval", "timeout", "retries", "start_period"}
    for name, service in services.items():
        check = service.get("healthcheck", {})
        if _ends(service):
            if check != {"disable": True}:
                yield f"{name} ends: disable its health check"
        elif check.keys() != times:
            yield f"{name}: the health check needs {sorted(times - check.keys())}"


def dependencies(services: Services, _: Any) -> Iterator[str]:
    """Waited for until it is done, if it ends, or until it is healthy; never in a circle."""
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name} depends on {other}, which is no service"
                continue
            ends = _ends(services[other])
            right = "service_completed_successfully" if ends else "service_healthy"
            if wanted["condition"] != right:
                yield f"{name} must wait for {other} with {right}"
    graph = {name: list(service.get("depends_on", {})) for name, service in services.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"services wait for each other: {error.args[1]}"


def exposure(services: Services, document: Any) -> Iterator[str]:
    """Ports are loopback's; what executes code or keeps the data publishes none."""
    for name, service in services.items():
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name} publishes {port} beyond loopback"
            if name in FOREIGN or (name in CODE_EXECUTION and not port.endswith(":4040")):
                yield f"{name} must not publish {port}"
        networks = set(service.get("networks", ["default"]))
        if unknown := networks - document["networks"].keys():
            yield f"{name} is on {sorted(unknown)}, which are no networks"
        if name in CODE_EXECUTION and networks != {"compute"}:
            yield f"{name} must be on the network compute alone"
        if "compute" in networks and name not in CODE_EXECUTION | {"airflow-scheduler"}:
            yield f"{name} must not reach what executes code"
        if name in FOREIGN and networks != {"database"}:
            yield f"{name} must be on the network database alone"
    if not document["networks"]["database"].get("internal"):
        yield "the network database must be internal"


def privileges(services: Services, _: Any) -> Iterator[str]:
    """No capability, no new privilege, nothing writable but memory and volumes, no root."""
    wanted = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "read_only": True}
    for name, service in services.items():
        for key, value in wanted.items():
            if service.get(key) != value:
                yield f"{name}: {key} must be {value}, got {service.get(key)}"
        if service.get("user", "") in ("root", "0", "0:0") or (
            name in FOREIGN and "user" not in service
        ):
            yield f"{name} runs as root"


def endurance(services: Services, _: Any) -> Iterator[str]:
    """Restarted unless it is to end, and its log cannot fill the disk."""
    for name, service in services.items():
        if service.get("restart") not in ("no", "unless-stopped"):
            yield f"{name}: restart is {service.get('restart')!r}"
        if not {"max-size", "max-file"} <= service.get("logging", {}).get("options", {}).keys():
            yield f"{name}: the log has no bound"


def volumes(services: Services, document: Any) -> Iterator[str]:
    """State lies in named volumes; a folder of the host is read only, and is there."""
    used = set()
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source, _, *mode = volume.split(":")
            if not source.startswith("."):
                used.add(source)
            elif mode != ["ro"] or not (PROJECT / source).is_dir():
                yield f"{name}: {source} must be a folder of the project, mounted read only"
    if used != document["volumes"].keys():
        yield f"volumes declared or used, but not both: {sorted(used ^ document['volumes'].keys())}"


def hosts(services: Services, _: Any) -> Iterator[str]:
    """Every address names a service that shares a network, or this machine."""
    for name, service in services.items():
        words = [*service.get("environment", {}).values(), *service.get("command", [])]
        words += service.get("healthcheck", {}).get("test", [])
        for host in {host for word in words for host in _HOST.findall(word)}:
            if host not in services and host not in ("localhost", "127.0.0.1"):
                yield f"{name} names the host {host}, which is no service"


def settings(services: Services, _: Any) -> Iterator[str]:
    """Every BLOCKMIX_ and AIRFLOW__ variable is one that is read; Airflow would say nothing."""
    from gmm_core.config import Settings

    ours = {f"BLOCKMIX_{field.upper()}" for field in Settings.model_fields}
    known = ours | _airflow_options()
    for name, service in services.items():
        for key in service.get("environment", {}):
            if key.startswith(("BLOCKMIX_", "AIRFLOW__")) and key not in known:
                yield f"{name}: nothing reads {key}"


@cache
def _airflow_options() -> set[str]:
    import importlib.util

    import yaml

    found = importlib.util.find_spec("airflow")
    assert found is not None
    assert found.submodule_search_locations
    folder = Path(next(iter(found.submodule_search_locations)))
    text = (folder / "config_templates" / "config.yml").read_text()
    sections = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # large
    return {
        f"AIRFLOW__{section}__{option}".upper()
        for section, body in sections.items()
        for option in body["options"]
    }


def _ends(service: Mapping[str, Any]) -> bool:
    return service.get("restart") == "no"


RULES: tuple[Callable[[Services, Any], Iterator[str]], ...] = (
    images,
    health,
    dependencies,
    exposure,
    privileges,
    endurance,
    volumes,
    hosts,
    settings,
)
