"""What a person sees of a stream in a terminal of 80 columns: blocks, components, quarantine."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream

__all__ = ["blocks_table", "components_table", "quarantine_table"]

MISSING = "–"
GATES = ("rows", "fit", "window", "transformed")


def blocks_table(stream: Stream, at: Services) -> Table:
    """One row per block, oldest first: rows, fit, model version, and each gate's checks passed."""
    table = _table(f"{stream.name}: blocks")
    for name in ("block", "rows", "nats/row", "EM\nsteps", "version", "anomalies"):
        table.add_column(name, justify="left" if name == "block" else "right", no_wrap=True)
    table.add_column("checks passed by\nrows fit model output", no_wrap=True)
    refused = at.store.quarantined(stream.name)
    for key in sorted({*at.store.summary_keys(stream.name), *refused}):
        table.add_row(key, *_row(stream, key, refused.get(key), at))
    return table


def _row(stream: Stream, key: str, entry: dict[str, Any] | None, at: Services) -> list[str]:
    cells = _block(stream, key, at)
    if entry is None:
        return cells
    if cells[0] == MISSING:  # nothing of the block was ever accepted
        return _refused(entry)
    return [*cells[:-1], f"{cells[-1]}\n[bold red]newer {entry['gate']} quarantined[/]"]


def _block(stream: Stream, key: str, at: Services) -> list[str]:
    summary = at.store.summary(stream.name, key)
    landed, fitted, out = (
        at.store.manifest(stream.name, section, key) or {}
        for section in ("landed", "summaries", "transformed")
    )
    facts: dict[str, Any] = out.get("facts", {})
    version = at.registry.version(stream.name, facts["version"]) if facts else None
    gates = (
        landed.get("gate"),
        fitted.get("gate"),
        version.tags.get("gate") if version else None,
        facts.get("gate"),
    )
    return [
        f"{summary.rows:,}" if summary else MISSING,
        f"{summary.fit.log_likelihood:.4f}" if summary else MISSING,
        str(summary.fit.iterations) if summary else MISSING,
        str(version.version) if version else MISSING,
        str(facts.get("anomalies", MISSING)),
        " ".join(str(gate or MISSING) for gate in gates),
    ]


def _refused(entry: dict[str, Any]) -> list[str]:
    failed = sum(not check["passed"] for check in entry["checks"])
    score = f"[bold red]{len(entry['checks']) - failed}/{len(entry['checks'])}[/]"
    gates = [score if gate == entry["gate"] else MISSING for gate in GATES]
    return [*[MISSING] * 5, f"{' '.join(gates)} [bold red]quarantined[/]"]


def quarantine_table(stream: Stream, at: Services) -> Table | None:
    """Open quarantine entries, or `None` when there are none."""
    entries = at.store.quarantined(stream.name)
    if not entries:
        return None
    table = _table(f"{stream.name}: quarantine")
    for name in ("block", "gate", "since (UTC)", "reason"):
        table.add_column(name, no_wrap=name != "reason", overflow="fold")
    for key, entry in entries.items():
        table.add_row(
            key, entry["gate"], entry["at"][:16].replace("T", " "), escape(entry["reason"])
        )
    return table


def components_table(stream: Stream, champion: ModelVersion, model: DensityModel) -> Table:
    """The champion in source units: weight, and for each feature the centre and one sd around it."""
    tags = champion.tags
    blocks = "1 block" if tags["blocks"] == "1" else f"{tags['blocks']} blocks"
    table = _table(
        f"{stream.name}: champion is version {champion.version}, {blocks} "
        f"{tags['first_block']} to {tags['last_block']}, {int(tags['rows']):,} rows"
    )
    table.add_column("id", justify="right")
    table.add_column("weight", justify="right")
    for name, feature in stream.numeric_features.items():
        table.add_column(f"{name}\n({feature.unit})" if feature.unit else name)
    for name in stream.categorical_features:
        table.add_column(f"{name}\n(most often)")
    rows = model.component_table()
    for component in sorted({row["component"] for row in rows}, key=lambda c: -_weight(rows, c)):
        cells = {row["feature"]: row for row in rows if row["component"] == component}
        spans = (_span(cells[name]) for name in stream.numeric_features)
        table.add_row(
            str(next(iter(cells.values()))["component_id"]),
            f"{_weight(rows, component):.3f}",
            *spans,
            *(_most_often(model, component, name) for name in stream.categorical_features),
        )
    return table


def _most_often(model: DensityModel, component: int, feature: str) -> str:
    """A component's most probable level, and how probable it is."""
    levels = (
        row
        for row in model.level_table()
        if row["component"] == component and row["feature"] == feature
    )
    top = max(levels, key=lambda row: float(row["probability"]))
    return f"{top['level']} {top['probability']:.0%}"


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _weight(rows: list[dict[str, Any]], component: int) -> float:
    return float(next(row["weight"] for row in rows if row["component"] == component))


def _span(row: dict[str, Any]) -> str:
    return f"{row['centre']:.3g}\n{row['low']:.3g} to {row['high']:.3g}"
