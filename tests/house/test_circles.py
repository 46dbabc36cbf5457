"""Imports go one way: no module of gmm_core reaches itself, for types or late inside functions either."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gmm_core"


def graph() -> dict[str, set[str]]:
    """Modules by name, each with those that it imports; a folder's `__init__` counts by its own name."""
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
    }
    edges: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            found = {f"{node.module}.{one.name}" for one in node.names} & names.keys()
            whole = {node.module, f"{node.module}.__init__"} & names.keys()
            edges[name] |= found if len(found) == len(node.names) else found | whole
    return edges


def test_no_module_reaches_itself():
    edges = graph()
    assert len(edges) > 150
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])))
