"""The commands of people, as typed: what they say, and what is missing."""

from __future__ import annotations

import pytest
import yaml
from orders import KEYS, make_rows, run_day
from typer.testing import CliRunner

from gmm_core.cli import app as cli
from gmm_core.cli import terminal
from gmm_core.errors import BlockQuarantined, InvalidInput
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import land


@pytest.fixture
def site(tmp_path, declared, monkeypatch):
    """Two days behind the command line, the third refused by the rows gate; how to type a command."""
    declared |= {"mixture": {"k": 2, "restarts": 1}, "window": {"blocks": 2}}
    folder = tmp_path / "streams"
    folder.mkdir()
    (folder / "orders.yaml").write_text(yaml.safe_dump(declared))
    monkeypatch.setenv("BLOCKMIX_STREAMS", str(folder))
    monkeypatch.setenv("BLOCKMIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "400")
    at = memory_services({key: make_rows(key, n=120) for key in KEYS[:3]})
    stream = Stream.model_validate(declared)
    for key in KEYS[:2]:
        run_day(stream, key, at)
    at.engine.blocks[KEYS[2]] = make_rows(KEYS[2], n=120).assign(price=1e6)
    with pytest.raises(BlockQuarantined):
        land(stream, KEYS[2], at)
    monkeypatch.setattr(terminal, "open_services", lambda settings: at)
    return lambda *words: CliRunner().invoke(cli.app, list(words))


def test_going_back_and_on(site):
    assert "Missing option" in site("rollback", "orders").output
    done = site("rollback", "orders", "--why", "odd scores", "--by", "ann").output
    assert "rolled back" in done
    assert "held: ann went back from version 2" in site("status", "orders").output.replace(
        "\n", " "
    )
    assert "already held" in site("rollback", "orders", "--why", "x", "--by", "bob").output
    assert "ended: ann went back" in site("resume", "orders").output
    assert "no hold in force" in site("resume", "orders").output
    assert isinstance(site("rollback", "orders", "--why", " ").exception, InvalidInput)


def test_quarantine_shows_reason_and_folder_and_release_empties_it(site):
    listed = site("quarantine", "orders").output
    assert KEYS[2] in listed
    assert "price: in range" in listed
    assert f"{KEYS[2]} path: " in listed
    released = site("release", "orders", KEYS[2], "--why", "it was gold", "--by", "ann").output
    assert "it was gold" in released
    assert "quarantine: empty" in site("quarantine", "orders").output


def test_drift_and_what_it_sets_off(site):
    assert "window_divergence" in site("drift", "orders", KEYS[1]).output
    assert "the stream asks for nothing" in site("react", "orders", KEYS[1]).output
