"""Reads docker-compose.yml as Compose does: first the anchors, then the variables."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "ComposeError",
    "dockerfile_environment",
    "environment_file",
    "interpolated",
    "raw",
    "script",
    "variables",
]

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "docker-compose.yml"
_VARIABLE = re.compile(r"([A-Za-z_]\w*)(?:(:?[-?+])(.*))?", re.DOTALL)


class ComposeError(Exception):
    """The file cannot be interpolated: a required variable has no value, or the syntax is wrong."""


def raw(path: Path = COMPOSE) -> dict[str, Any]:
    """The file with its anchors resolved and its variables as written."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def environment_file(text: str) -> dict[str, str]:
    """Names and values of an .env file."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """`value` with every variable in its strings replaced; raises `ComposeError`."""
    if isinstance(value, str):
        return _text(value, env)
    if isinstance(value, Mapping):
        return {key: interpolated(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, env) for item in value]
    return value


def variables(value: Any) -> dict[str, set[str]]:
    """Every variable a document names, with the operators it is used with ('' for none)."""
    found: dict[str, set[str]] = {}
    for text in _strings(value):
        for name, operator, rest in _references(text):
            found.setdefault(name, set()).add(operator)
            for inner, operators in variables(rest).items():
                found.setdefault(inner, set()).update(operators)
    return found


def script(name: str) -> Any:
    """A module of deploy/: plain files for a container or a bare machine, not a package."""
    spec = importlib.util.spec_from_file_location(
        f"deploy_{name}", PROJECT / "deploy" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dockerfile_environment(path: Path) -> dict[str, str]:
    """What the ENV instruction of a Dockerfile sets."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split()[1:])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _text(text: str, env: Mapping[str, str]) -> str:
    parts, position = [], 0
    for start, end in _spans(text):
        parts.append(text[position:start].replace("$$", "$"))
        parts.append(_value(*_split(text[start + 2 : end - 1]), env))
        position = end
    return "".join([*parts, text[position:].replace("$$", "$")])


def _value(name: str, operator: str, rest: str, env: Mapping[str, str]) -> str:
    value = env.get(name)
    there = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return _text(rest, env) if there else ""
    if there:
        return str(value)
    if operator.endswith("?"):
        raise ComposeError(f"{name} has no value: {rest}")
    return _text(rest, env) if operator.endswith("-") else ""


def _references(text: str) -> Iterator[tuple[str, str, str]]:
    for start, end in _spans(text):
        yield _split(text[start + 2 : end - 1])


def _split(body: str) -> tuple[str, str, str]:
    match = _VARIABLE.fullmatch(body)
    if match is None:
        raise ComposeError(f"not a variable: ${{{body}}}")
    return match[1], match[2] or "", match[3] or ""


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of every outermost `${...}`; a `$NAME` without braces is not our style."""
    position = 0
    while (start := text.find("$", position)) >= 0:
        if text.startswith("$$", start):
            position = start + 2
            continue
        if not text.startswith("${", start):
            raise ComposeError(f"write ${{NAME}}, with braces: {text}")
        depth, end = 1, start + 2
        while depth:
            if end == len(text):
                raise ComposeError(f"no closing brace: {text}")
            depth += text.startswith("${", end) - (text[end] == "}")
            end += 1
        yield start, end
        position = end
