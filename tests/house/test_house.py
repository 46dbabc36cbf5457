"""House rules that are checked rather than remembered."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CODE = ("gmm_core", "expectations", "dags", "plugins", "demo", "examples", "bench")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def modules() -> list[Path]:
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.parts[len(PROJECT.parts)] in CODE
    ]


def test_there_is_code_to_check():
    assert len(modules()) > 30


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PROJECT)))
def test_a_module_is_one_idea(path):
    lines = path.read_text().count("\n")
    assert lines <= 350, f"{lines} lines: look for the missing concept and give it a module"
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    for function in functions:
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= 70, f"{function.name} has {length} lines: split it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PROJECT)))
def test_what_is_exported_is_declared_once(path):
    """Modules of the package say what is public; that each name exists is mypy's and ruff's work."""
    if path.parts[len(PROJECT.parts)] != "gmm_core" or path.name in (
        "served_model.py",
        "__init__.py",
    ):
        return
    assert path.read_text().count("\n__all__ = [") == 1


def test_heavy_packages_are_not_imported_by_what_a_dag_file_imports():
    program = (
        "import sys, gmm_core, gmm_core.pipeline.verbs, gmm_core.pipeline.wiring, gmm_core.cli.app;"
        "heavy = {'pyspark', 'mlflow', 'great_expectations', 'sklearn', 'dbt', 'numba', 'airflow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_folders_that_must_not_be_packages():
    assert not (PROJECT / "dbt" / "__init__.py").exists(), "it would hide the dbt package"
    assert not list((PROJECT / "tests").rglob("__init__.py"))
    assert [p.name for p in (PROJECT / "plugins").rglob("*.py")] == ["blockmix_plugin.py"]


def test_requirements_are_hash_locked_and_name_no_index():
    for name in ("lock.txt", "bootstrap.txt"):
        text = (PROJECT / "requirements" / name).read_text()
        pins = re.findall(r"^[a-zA-Z0-9][^\s;]*==", text, flags=re.M)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)
        assert "://" not in text
        # It would overwrite files of pyspark: the lock names it for a platform that there is not.
        unwanted = re.findall(r"^pyspark-client==[^;\n]*(.*)$", text, flags=re.M)
        assert all("sys_platform == 'never'" in marker for marker in unwanted)


def test_one_pyspark():
    from importlib.metadata import distributions

    assert "pyspark-client" not in {d.metadata["Name"] for d in distributions()}


def test_no_secret_and_no_pickle_in_the_code():
    for path in modules():
        text = path.read_text()
        assert not re.search(
            r"^\s*(import|from) (pickle|cloudpickle|joblib|dill)\b", text, flags=re.M
        ), path


@pytest.mark.parametrize("tool", ["python", "java"])
def test_a_missing_prerequisite_is_one_sentence(tmp_path, tool):
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "JAVA_HOME": str(tmp_path)}
    if tool == "python":
        environment["PYTHON"] = "python-that-is-not-there"
    outcome = subprocess.run(
        ["sh", "scripts/preflight.sh"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert len(outcome.stderr.strip().splitlines()) == 1
    assert f"Install {tool.capitalize()}" in outcome.stderr


@pytest.mark.parametrize(
    ("version", "passes"), [("1.8.0_392", False), ("11.0.2", False), ("17.0.1", True), ("21", True)]
)
def test_java_must_be_new_enough(tmp_path, version, passes):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    java.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "JAVA_HOME": str(tmp_path)}
    outcome = subprocess.run(
        ["sh", "scripts/preflight.sh"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode == 0) is passes
    assert passes or "Install Java 17" in outcome.stderr


def test_no_document_waits_for_a_figure():
    for path in (p for p in tracked() if p.suffix == ".md"):
        waiting = re.findall(r"\b[A-Z]+_TABLE\b|\bTODO\b|\bTBD\b", path.read_text())
        assert not waiting, f"{path.name}: {waiting}"
