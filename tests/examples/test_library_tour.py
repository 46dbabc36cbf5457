"""examples/library_tour.py draws the figures of docs/library.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_it_draws_the_figures_that_the_page_shows(tmp_path):
    script = PROJECT / "examples" / "library_tour.py"
    subprocess.run(
        [sys.executable, str(script), "--into", str(tmp_path)],
        check=True,
        cwd=tmp_path,
        timeout=200,
    )
    page = (PROJECT / "docs" / "library.md").read_text()
    shown = re.findall(r"images/(library-(?:mixture|choice)\.png)", page)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
