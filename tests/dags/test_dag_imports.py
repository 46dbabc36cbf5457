"""No DAG file may import a heavy package at module level, itself or through what it imports.

The static check names the line; the dynamic one parses the folder in a process of its own and looks
at what got loaded. Both are shown to catch what they are for.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = {"pyspark", "mlflow", "great_expectations", "sklearn", "numba", "dbt", "duckdb", "pandas"}
PARSER = """
import json, sys, time
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
folder = Path(sys.argv[1])
before = set(sys.modules)
bag = BundleDagBag(str(folder), bundle_path=folder, bundle_name="tests")
begin = time.process_time()
BundleDagBag(str(folder), bundle_path=folder, bundle_name="tests")
print("RESULT" + json.dumps({
    "loaded": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
    "errors": bag.import_errors, "dags": sorted(bag.dags),
    "again": time.process_time() - begin, "before": sorted({n.split(".")[0] for n in before}),
}))
"""


def parsed_elsewhere(folder: Path) -> dict:
    """What parsing the folder in a fresh process gave and loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PARSER, str(folder)],
        env={**os.environ}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


def module_level_imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and package of every import that runs when the module is imported."""
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += node.decorator_list if not isinstance(node, ast.Lambda) else []
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, (node.module or "").split(".")[0]
        todo += ast.iter_child_nodes(node)


def heavy_lines(path: Path) -> list[str]:
    found = module_level_imports(path.read_text())
    return [
        f"{path.name}:{line} imports {package} at module level: import it inside the task"
        for line, package in sorted(found)
        if package in HEAVY
    ]


def test_no_dag_file_or_plugin_imports_a_heavy_package(dags_folder):
    files = [*dags_folder.rglob("*.py"), *(dags_folder.parent / "plugins").rglob("*.py")]
    assert len(files) >= 6
    assert not [line for path in files for line in heavy_lines(path)]


def test_parsing_loads_no_heavy_package_and_is_quick(declare, dags_folder):
    declare()
    result = parsed_elsewhere(dags_folder)
    assert result["errors"] == {}
    assert len(result["dags"]) == 5
    assert "gmm_core" in result["loaded"], "the check must see what parsing loads"
    assert not HEAVY & {*result["loaded"], *result["before"]}
    assert result["again"] < 1.0, "seconds of CPU for parsing every file once more"


GOOD = "from airflow.sdk import DAG\nwith DAG('x', schedule=None):\n    pass\n"
BAD = {
    "plain": "import pyspark\n",
    "aliased": "import os, pyspark.sql as sql\n",
    "from": "from pyspark.sql import SparkSession\n",
    "guarded": "try:\n    import pyspark\nexcept ImportError:\n    pyspark = None\n",
    "in a class": "class Settings:\n    import pyspark\n",
    "else of type checking": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import pyspark\n"
    ),
}
FINE = {
    "in a task": "def task():\n    import pyspark\n",
    "for types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pyspark\n",
    "another package": "import pyspark_like\n",
    "relative": "from .mlflow import run\n",
}


@pytest.mark.parametrize("name", BAD)
def test_the_static_check_catches(tmp_path, name):
    path = tmp_path / "bad.py"
    path.write_text(BAD[name] + GOOD)
    (problem,) = heavy_lines(path)
    assert problem.startswith("bad.py:")
    assert "imports pyspark" in problem


@pytest.mark.parametrize("name", FINE)
def test_the_static_check_allows(tmp_path, name):
    path = tmp_path / "fine.py"
    path.write_text(FINE[name] + GOOD)
    assert heavy_lines(path) == []


def test_the_dynamic_check_catches_what_hides_behind_another_module(tmp_path):
    (tmp_path / "hidden.py").write_text("from gmm_core.spark.session import session\n" + GOOD)
    assert heavy_lines(tmp_path / "hidden.py") == [], "only the dynamic check can see this one"
    result = parsed_elsewhere(tmp_path)
    assert result["dags"] == ["x"]
    assert "pyspark" in result["loaded"]
