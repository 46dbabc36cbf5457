"""examples/lookup.py and the code of docs/serving.md, as a user runs them."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from orders import declaration
from typer.testing import CliRunner

from gmm_core.cli.app import app
from gmm_core.registry import packaging
from gmm_core.registry.mlflow_registry import MlflowRegistry

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "examples" / "lookup.py"


def lookup(folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **environment},
    )  # fmt: skip


def test_it_pins_the_champion_and_finds_the_odd_row(
    server, stream, model, lineage, report, empty_folder
):
    registry = MlflowRegistry(server)
    for _ in range(2):
        registry.register(stream, model, lineage, report())
    registry.point(stream.name, "champion", 1)
    ran = lookup(empty_folder, "--stream", stream.name, MLFLOW_TRACKING_URI=server)
    assert ran.returncode == 0, ran.stderr
    assert f"{stream.name}: champion is version 1, pinned" in ran.stdout
    for value in lineage.values():
        assert value in ran.stdout
    # Three centres, which are dense, and a fourth row with fifty times the price.
    assert "unusual rows (score above 0.995): [3]" in ran.stdout
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("merged", [False, True])
def test_no_champion(server, stream, model, lineage, report, empty_folder, merged):
    if merged:
        MlflowRegistry(server).register(stream, model, lineage, report())
    ran = lookup(empty_folder, "--stream", stream.name, "--tracking-uri", server)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == f"lookup: no champion of {stream.name} at {server}: promote a version\n"


def test_no_server(empty_folder):
    ran = lookup(empty_folder, "--tracking-uri", "http://127.0.0.1:15239")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "lookup: no answer from MLflow at http://127.0.0.1:15239: is the server running?"
    )
    assert "Traceback" not in ran.stderr


def test_it_is_short_and_needs_little():
    text = SCRIPT.read_text()
    assert text.count("\n") < 60
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)
    }  # fmt: skip
    assert imported - sys.stdlib_module_names == {"mlflow", "pandas"}


def test_the_code_of_the_page_runs(server, stream, model, lineage, report, monkeypatch, tmp_path):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # the page's code sets it
    registry = MlflowRegistry(server)
    for alias in ("previous", "champion"):
        newest = registry.register(stream, model, lineage, report()).version
        registry.point(stream.name, alias, newest)
    page = (PROJECT / "docs" / "serving.md").read_text()
    page = page.replace("http://127.0.0.1:5000", server).replace("baskets", stream.name)
    page = page.replace("2017-03-14", lineage["last_block"])
    page = page.replace('Path("', f'Path("{tmp_path}/')
    load, in_spark, as_of, by_rows, bridges = re.findall(
        r"```python\n(.*?)```", page, flags=re.DOTALL
    )
    compile(in_spark, "serving.md", "exec")  # tests/examples/test_in_spark.py runs such a job
    rows = pd.DataFrame(packaging.example_rows(model))
    names = {"rows": rows}
    try:
        exec(load, names)
        exec(as_of, names)
        names["rows"] = pd.concat([rows] * 500)
        exec(by_rows, names)
        exec(bridges, names)
    finally:
        mlflow.set_tracking_uri(None)
    expected = model.output(dict(rows.items()), "score")["score"]
    np.testing.assert_array_equal(names["scores"]["score"], expected)
    assert (names["then"].version.version, names["now"].version.version) == (newest,) * 2


def test_the_rollback_of_the_page_goes_back_and_holds(
    server, stream, model, lineage, report, monkeypatch, tmp_path
):
    registry = MlflowRegistry(server)
    versions = [registry.register(stream, model, lineage, report()).version for _ in range(2)]
    for alias, version in zip(("previous", "champion"), versions, strict=True):
        registry.point(stream.name, alias, version)
    declared = {**declaration(), "stream": stream.name}
    (tmp_path / f"{stream.name}.yaml").write_text(yaml.safe_dump(declared))
    monkeypatch.setenv("BLOCKMIX_STREAMS", str(tmp_path))
    monkeypatch.setenv("BLOCKMIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BLOCKMIX_TRACKING_URI", server)
    page = (PROJECT / "docs" / "serving.md").read_text()
    [command] = re.findall(r"^blockmix (rollback .*)$", page, flags=re.MULTILINE)
    ran = CliRunner().invoke(app, shlex.split(command.replace("baskets", stream.name)))
    assert ran.exit_code == 0, ran.output
    assert registry.alias(stream.name, "champion").version == versions[0]
    assert "scores doubled since Tuesday" in registry.notes(stream.name)["hold"]


def test_the_page_names_every_tag_and_output():
    from gmm_core.model import OUTPUTS
    from gmm_core.registry.records import LINEAGE

    page = (PROJECT / "docs" / "serving.md").read_text()
    assert [name for name in (*OUTPUTS, *LINEAGE) if f"`{name}`" not in page] == []
