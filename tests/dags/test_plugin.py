"""The plugin folder: one module, an innocent name, two links."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def loaded_plugins(folder: Path) -> str:
    """What an Airflow process makes of a plugin folder: its links, and where two packages come from."""
    program = """
import sys
from airflow import plugins_manager
print("links", [link.name for link in plugins_manager.get_global_operator_extra_links()])
print("errors", plugins_manager.get_import_errors() if hasattr(plugins_manager, "get_import_errors") else {})
import duckdb
print("duckdb", duckdb.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder)},
    )  # fmt: skip
    return done.stdout


def test_there_is_one_module_and_no_package_has_its_name():
    modules = sorted(PLUGINS.rglob("*.py"))
    assert [path.name for path in modules] == ["blockmix_plugin.py"]
    for path in modules:
        probe = f"import importlib.util as u; print(u.find_spec({path.stem!r}))"
        found = subprocess.run(
            [sys.executable, "-c", probe], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == "None", f"{path.name} would hide a package"


def test_airflow_loads_the_links_and_nothing_else_in_the_folder(tmp_path):
    for name in (".airflowignore", "blockmix_plugin.py"):
        (tmp_path / name).write_text((PLUGINS / name).read_text())
    (tmp_path / "duckdb.py").write_text("raise RuntimeError('Airflow ran me')\n")
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "duckdb.py").write_text("raise RuntimeError('Airflow ran me')\n")
    output = loaded_plugins(tmp_path)
    assert "links ['MLflow', 'Data Docs']" in output
    assert f"duckdb {tmp_path}" not in output


@pytest.fixture
def plugin():
    import importlib.util

    spec = importlib.util.spec_from_file_location("blockmix_plugin", PLUGINS / "blockmix_plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("http://127.0.0.1:8081/x.html", "http://127.0.0.1:8081/x.html"),
        ("https://docs.example/x", "https://docs.example/x"),
        ("/srv/quality/x.html", ""),
        ("file:///srv/quality/x.html", ""),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_a_link_is_for_a_browser(plugin, monkeypatch, page, link):
    monkeypatch.setattr(plugin, "task_pages", lambda *_: {"data_docs": page})
    assert plugin.DataDocsLink().get_link(None, ti_key=None) == link
    assert plugin.MlflowLink().get_link(None, ti_key=None) == ""


def test_tasks_of_other_dags_are_not_looked_up(plugin):
    import types

    stranger = types.SimpleNamespace(dag=types.SimpleNamespace(tags={"other"}))
    assert plugin.MlflowLink().get_link(stranger, ti_key=None) == ""


def test_the_tasks_and_the_plugin_agree_on_the_key(plugin, run):
    assert plugin.PAGES == run.PAGES
