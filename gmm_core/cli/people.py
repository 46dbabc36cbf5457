"""The commands of people: go back, resume, look at quarantine and drift, release, react."""

from __future__ import annotations

import getpass
from typing import Annotated, Optional

import typer
from rich.markup import escape

from gmm_core.cli.tables import quarantine_table
from gmm_core.cli.terminal import By, Key, StreamName, declared_stream, out, show, working
from gmm_core.pipeline import verbs

__all__ = ["people"]

people = typer.Typer()

Why = Annotated[str, typer.Option("--why", help="the reason, as it is to be recorded")]

Back = Annotated[
    Optional[int],
    typer.Option("--version", min=1, help="to go back to; default: the champion of before"),
]


@people.command()
def rollback(stream: StreamName, why: Why, by: By = None, version: Back = None) -> None:
    """Make the champion of before serve again, and hold it there until `blockmix resume`."""
    declared = declared_stream(stream)
    with working(f"going back in {stream}") as services:
        outcome = verbs.rollback(
            declared, services, why=why, by=by or getpass.getuser(), version=version
        )
    show(outcome)


@people.command()
def resume(
    stream: StreamName,
    why: Annotated[str, typer.Option("--why", help="what was found, as it is to be recorded")] = "",
    by: By = None,
) -> None:
    """End the hold of a rollback: the next merge may promote again."""
    declared = declared_stream(stream)
    with working(f"resuming {stream}") as services:
        outcome = verbs.resume(declared, services, why=why, by=by or getpass.getuser())
    show(outcome)


@people.command()
def drift(stream: StreamName, key: Key) -> None:
    """How far a block lies from its window and from the baseline, and what moved."""
    declared = declared_stream(stream)
    with working(f"looking at {stream} {key}") as services:
        outcome = verbs.drift_report(declared, key, services)
    show(outcome)


@people.command()
def react(stream: StreamName, key: Key) -> None:
    """Do what the stream's triggers ask for where drift was found in a block."""
    declared = declared_stream(stream)
    with working(f"reacting to {stream} {key}") as services:
        outcome = verbs.react(declared, key, services)
    show(outcome)


@people.command()
def quarantine(stream: StreamName) -> None:
    """Blocks that a gate refused and that were not repaired since, with their reports."""
    declared = declared_stream(stream)
    with working(f"looking at {stream}") as services:
        table = quarantine_table(declared, services)
        entries = services.store.quarantined(declared.name)
    out.print(table or "quarantine: empty")
    for key, entry in entries.items():
        for name in ("page", "path"):
            if entry.get(name):
                out.print(f"  {key} {name}: {escape(entry[name])}", soft_wrap=True, highlight=False)


@people.command()
def release(stream: StreamName, key: Key, why: Why, by: By = None) -> None:
    """Take a block out of quarantine after you looked at it; then `blockmix run` takes it further."""
    declared = declared_stream(stream)
    with working(f"releasing {stream} {key}") as services:
        outcome = verbs.release(declared, key, services, why=why, by=by or getpass.getuser())
    show(outcome)
