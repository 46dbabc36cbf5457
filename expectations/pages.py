"""Data Docs as pages of our own: built by the library's site builder, readable, and self-contained.

The library's stock pages load styles, scripts and a logo from other hosts and lose their layout
without a network; they also show one section per column and read every stored result again to write
the index. These pages need nothing but themselves, show one table per validation, and keep an
overview per stream: a row per block, a column per gate.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import great_expectations as gx
from filelock import FileLock
from great_expectations.data_context.types.resource_identifiers import SiteSectionIdentifier
from great_expectations.render.renderer.site_builder import SiteBuilder
from jinja2 import Environment, PackageLoader, StrictUndefined

from expectations.report import findings_of

__all__ = ["GATES", "QualitySite", "locked", "replace_text"]

GATES = {
    "rows": "rows gate",
    "fit": "fit gate",
    "window": "model gate",
    "transformed": "output gate",
}
_LOCK_SECONDS = 120.0


class QualitySite(SiteBuilder):
    """The site builder named in the project file: `build` writes reports, then the overviews."""

    def build(
        self, resource_identifiers: Iterable[Any] | None = None, build_index: bool = True
    ) -> tuple[str | None, None]:
        """Write the pages of these validation results; of all that are stored, when none are given."""
        home = Path(str(self.data_context.root_directory))
        store = self.data_context.validation_results_store
        # Sorted, so that of several runs of a block the newest comes last and stays.
        every = resource_identifiers or sorted(store.list_keys(), key=lambda one: one.to_tuple())
        entries = [self._write_report(one, store.get(one)) for one in every]
        if build_index:
            with locked(home):
                for stream in {entry["stream"] for entry in entries}:
                    _write_overview(home, stream, [e for e in entries if e["stream"] == stream])
                _write_index(home)
        return self.get_resource_url(only_if_exists=False), None

    def _write_report(self, identifier: Any, result: Any) -> dict[str, Any]:
        parts = identifier.to_tuple()
        findings = findings_of(result)
        stream, gate = result.suite_name.split(".")
        passed = sum(finding.check.passed for finding in findings)
        entry = {
            "stream": stream,
            "gate": gate,
            "key": identifier.run_id.run_name,
            "at": f"{identifier.run_id.run_time:%Y-%m-%d %H:%M:%S} UTC",
            "passed": passed == len(findings),
            "score": f"{passed}/{len(findings)}",
            "page": "/".join(["validations", *parts]) + ".html",
        }
        page = _render(
            "report.html.j2",
            entry=entry,
            gate=GATES[gate],
            up="../" * len(parts),
            # What failed is what a reader came for.
            findings=sorted(findings, key=lambda finding: finding.check.passed),
            version=gx.__version__,
        )
        self.target_store.set(SiteSectionIdentifier("validations", identifier), page)
        return entry


def locked(home: Path) -> AbstractContextManager[Any]:
    """The project's lock between processes; the system frees it when its holder dies."""
    return FileLock(home / ".lock", timeout=_LOCK_SECONDS)


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(aside).chmod(0o644)
    Path(aside).replace(path)


def _write_overview(home: Path, stream: str, entries: list[dict[str, Any]]) -> None:
    """Add the newest validations to the stream's overview: block key -> gate -> entry."""
    blocks = _overview(home, stream)
    for entry in entries:
        gates = blocks.setdefault(entry["key"], {})
        if entry["at"] >= gates.get(entry["gate"], entry)["at"]:
            gates[entry["gate"]] = entry
    replace_text(_overview_file(home, stream), json.dumps(blocks))
    newest_first = dict(sorted(blocks.items(), reverse=True))
    page = _render("stream.html.j2", stream=stream, blocks=newest_first, gates=GATES)
    replace_text(home / "docs" / f"{stream}.html", page)


def _write_index(home: Path) -> None:
    streams = []
    for name in sorted(path.stem for path in (home / "overviews").glob("*.json")):
        blocks = _overview(home, name)
        newest = max(blocks)
        refused = sum(not all(e["passed"] for e in gates.values()) for gates in blocks.values())
        streams.append((name, newest, blocks[newest], len(blocks), refused))
    replace_text(
        home / "docs" / "index.html", _render("index.html.j2", streams=streams, gates=GATES)
    )


def _overview(home: Path, stream: str) -> dict[str, dict[str, dict[str, Any]]]:
    file = _overview_file(home, stream)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _overview_file(home: Path, stream: str) -> Path:
    return home / "overviews" / f"{stream}.json"


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("expectations", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
