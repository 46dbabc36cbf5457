"""docs/tutorial.ipynb runs, and shows what it says."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def executed() -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": NOTEBOOK.parent}},
    )
    return client.execute()


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    return [
        output.get("data", {}).get("text/plain", "").strip("'\"")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]


def test_every_cell_runs_and_the_pictures_are_drawn(executed):
    pictures = [
        output
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
    shown = texts(executed)
    [mean] = [text for text in shown if text.startswith("largest difference of the means: ")]
    assert float(mean.rpartition(" ")[2]) < 1e-9
    assert any("of the day's baskets are anomalies" in text for text in shown)
    assert any("sd above the usual" in text or "sd below the usual" in text for text in shown)


def test_what_is_stored_shows_its_outputs_and_no_path(executed):
    stored = NOTEBOOK.read_text()
    assert '"image/png"' in stored
    assert str(NOTEBOOK.parents[1]) not in stored
    assert len(stored) < 600_000
