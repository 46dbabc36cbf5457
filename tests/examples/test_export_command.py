"""`blockmix export`, as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from orders import declaration
from typer.testing import CliRunner

from gmm_core.cli.app import app
from gmm_core.errors import InvalidInput, NotFound
from gmm_core.export.edge import edge_values, without_correlations


@pytest.fixture
def run(registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "orders.yaml").write_text(yaml.safe_dump(declaration()))
    (tmp_path / "empty.yaml").write_text(yaml.safe_dump({**declaration(), "stream": "empty"}))
    monkeypatch.setenv("BLOCKMIX_STREAMS", str(tmp_path))
    monkeypatch.setenv("BLOCKMIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BLOCKMIX_TRACKING_URI", registered.uri)
    return lambda *words: CliRunner().invoke(app, ["export", *words])


def test_a_diagonal_model_as_json_and_as_a_header(run, registered, tmp_path):
    ran = run("orders", "--drop-correlations", "--out", str(tmp_path / "model.json"))
    assert ran.exit_code == 0, ran.output
    text = (tmp_path / "model.json").read_text()
    assert json.loads(text) == edge_values(without_correlations(registered.model))
    ran = run("orders", "--format", "c-header", "--drop-correlations", "--version", "1")
    assert ran.exit_code == 0, ran.output
    assert "#define BLOCKMIX_FEATURES 3" in ran.output


def test_what_cannot_be_exported_is_said(run):
    assert isinstance(run("orders").exception, InvalidInput)
    assert "no correlations" in str(run("orders").exception)
    assert "json, c-header" in str(run("orders", "--format", "pmml").exception)
    assert isinstance(run("empty").exception, NotFound)
    assert isinstance(run("orders", "--version", "7").exception, NotFound)
