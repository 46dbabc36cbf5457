"""The command line: `blockmix land baskets 2017-03-14`, and so on for the other verbs.

Exit status: 0 done, 2 wrong input, 3 refused by a gate, 4 a computation or service failed.
"""

from __future__ import annotations

import getpass
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated, Optional

import typer
from rich.markup import escape
from rich.table import Table

from gmm_core import __version__
from gmm_core.cli.people import people
from gmm_core.cli.tables import blocks_table, components_table, quarantine_table
from gmm_core.cli.terminal import By, Key, StreamName, Version
from gmm_core.cli.terminal import declared_stream as _stream
from gmm_core.cli.terminal import err as _err
from gmm_core.cli.terminal import out as _out
from gmm_core.cli.terminal import show as _show
from gmm_core.cli.terminal import working as _working
from gmm_core.config import load_settings
from gmm_core.errors import BlockmixError, InvalidInput, InvalidStream, Refused
from gmm_core.export.command import exporting
from gmm_core.pipeline import verbs
from gmm_core.pipeline.aliases import hold_of
from gmm_core.pipeline.blocks import landed_keys
from gmm_core.pipeline.settings.mixtures import MAX_K, MAX_WINDOW
from gmm_core.pipeline.stream_files import load_streams
from gmm_core.pipeline.verbs import Outcome
from gmm_core.pipeline.wiring import build_marts, document_marts
from gmm_core.pipeline.wiring import generate as write_generated

__all__ = ["app", "main"]

app = typer.Typer(
    help="Keeps a Gaussian mixture model of the last b days of a data stream, every day.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(people)
app.add_typer(exporting)
K = Annotated[Optional[int], typer.Option("--k", min=1, max=MAX_K, help="components")]
Window = Annotated[Optional[int], typer.Option(min=1, max=MAX_WINDOW, help="blocks in the window")]
Covariance = Annotated[
    Optional[str], typer.Option("--covariance-type", help="full, tied, diag or spherical")
]


def _print_version(asked: bool) -> None:
    if asked:
        _out.print(f"blockmix {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print it and end"),
    ] = False,
) -> None:
    pass


def _outcomes(answers: Iterable[Outcome | Refused]) -> Iterator[Outcome]:
    """The outcomes, shown as they come; then the last refusal is raised, those before it shown."""
    refusals = []
    for answer in answers:
        if isinstance(answer, Outcome):
            _show(answer)
            yield answer
        else:
            refusals.append(answer)
    for refusal in refusals[:-1]:
        _complain(refusal)
    if refusals:
        raise refusals[-1]


@app.command()
def land(stream: StreamName, key: Key) -> None:
    """Bring a block's rows into the lake, through the rows gate."""
    declared = _stream(stream)
    with _working(f"landing {stream} {key}") as services:
        outcome = verbs.land(declared, key, services)
    _show(outcome)


@app.command()
def fit(
    stream: StreamName,
    key: Key,
    to: Annotated[
        Optional[str], typer.Option(help="all landed blocks from KEY to this one, in one job")
    ] = None,
    k: K = None,
    covariance_type: Covariance = None,
) -> None:
    """Fit the block mixture to the landed rows, through the fit gate."""
    declared = _stream(stream, k=k, covariance_type=covariance_type)
    with _working(f"fitting {stream} {key}" + (f" to {to}" if to else "")) as services:
        if to is None:
            _show(verbs.fit(declared, key, services))
            return
        keys = landed_keys(declared, key, to, services)
        deque(_outcomes(verbs.fit_many(declared, keys, services)), maxlen=0)


@app.command()
def merge(stream: StreamName, key: Key, k: K = None, window: Window = None) -> None:
    """Pool and reduce the window up to KEY, register the result as challenger."""
    declared = _stream(stream, k=k, window=window)
    with _working(f"merging {stream} as of {key}") as services:
        outcome = verbs.merge(declared, key, services)
    _show(outcome)


@app.command()
def remerge(stream: StreamName, key: Key, k: K = None, window: Window = None) -> None:
    """Merge every window that holds the block KEY, as after it came late or was replaced."""
    declared = _stream(stream, k=k, window=window)
    with _working(f"merging the windows of {stream} that hold {key}") as services:
        deque(_outcomes(verbs.remerge(declared, key, services)), maxlen=0)


@app.command()
def promote(
    stream: StreamName,
    key: Key,
    version: Version = None,
    yes: Annotated[bool, typer.Option("--yes", help="your word, where it is asked for")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="end a rollback's hold with it")] = False,
    why: Annotated[str, typer.Option("--why", help="a reason, as it is to be recorded")] = "",
    by: By = None,
) -> None:
    """Make the version of the window up to KEY the champion."""
    declared = _stream(stream)
    with _working(f"promoting {stream} {key}") as services:
        outcome = verbs.promote(
            declared,
            key,
            services,
            version,
            answer="promote" if yes else None,
            by=by or getpass.getuser(),
            why=why,
            resume=resume,
        )
    _show(outcome)


@app.command()
def transform(stream: StreamName, key: Key, version: Version = None) -> None:
    """Normalise and score a block with one pinned version."""
    declared = _stream(stream)
    with _working(f"transforming {stream} {key}") as services:
        outcome = verbs.transform(declared, key, services, version)
    _show(outcome)


@app.command()
def marts(
    stream: StreamName,
    key: Annotated[
        Optional[str], typer.Argument(help="block key; default: all", metavar="[KEY]")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="then write what the tables mean, as one HTML file")
    ] = False,
) -> None:
    """Build the dbt marts of a stream, for one block or for all."""
    declared = _stream(stream)
    with _working(f"building the marts of {stream}"):
        outcome = build_marts(declared, key)
    _show(outcome)
    if page:
        with _working(f"writing about the marts of {stream}"):
            written = document_marts(declared)
        _out.print(f"the tables are described in {written}", soft_wrap=True, highlight=False)


@app.command()
def run(stream: StreamName, key: Key) -> None:
    """All of it for one block: land, fit, merge, promote, transform, marts.

    A block that comes late or is replaced is merged into every window that holds it, and the blocks that
    these windows end with are scored again.
    """
    declared = _stream(stream)
    with _working(f"{stream} {key}") as services:
        for verb in (verbs.land, verbs.fit):
            _show(verb(declared, key, services))
        for merged in _outcomes(verbs.remerge(declared, key, services)):
            version = merged.facts["version"]
            if declared.triggers.on_drift != "nothing":
                reacted = verbs.react(declared, merged.key, services)
                _show(reacted)
                version = reacted.facts.get("asks", version)
            promoted = verbs.promote(declared, merged.key, services, version)
            _show(promoted)
            _show(verbs.transform(declared, merged.key, services, promoted.facts["serves"]))
            _show(build_marts(declared, merged.key))


@app.command()
def generate(
    name: Annotated[str, typer.Argument(help="name of the stream to declare", metavar="NAME")],
    out: Annotated[str, typer.Option(help="new folder to write to")],
    rows: Annotated[int, typer.Option(min=1, help="rows in all")] = 1_000_000,
    days: Annotated[int, typer.Option(min=1, help="days they are spread over")] = 7,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other rows")] = 0,
) -> None:
    """Write made-up transactions with known truth, drift and labelled anomalies, ready to be a stream."""
    settings = load_settings()
    with _err.status(f"generating {rows} rows"):
        outcome = write_generated(name, rows, days, out, seed, settings)
    _show(outcome)
    used = f"cp {escape(outcome.facts['stream_file'])} {escape(str(settings.streams))}"
    _out.print(f"  to use it: {used}", soft_wrap=True, highlight=False)


@app.command()
def streams() -> None:
    """List the declared streams, checking every file."""
    settings, bad = load_settings(), []
    table = Table("stream", "first block", "last block", "features", "k", "window", "description")
    for entry in load_streams(settings.streams):
        if isinstance(entry, InvalidStream):
            bad.append(entry)
            continue
        table.add_row(
            entry.name,
            str(entry.start),
            str(entry.end or ""),
            ", ".join(entry.features),
            str(entry.mixture.k),
            f"{entry.window.blocks} blocks",
            entry.description,
        )
    _out.print(table)
    if bad:
        raise InvalidStream("\n".join(str(error) for error in bad))


@app.command()
def status(stream: StreamName) -> None:
    """Blocks, window and aliases of a stream."""
    declared = _stream(stream)
    with _working(f"looking at {stream}") as services:
        blocks, refused = blocks_table(declared, services), quarantine_table(declared, services)
        aliases = {
            alias: services.registry.alias(declared.name, alias)
            for alias in (verbs.CHAMPION, verbs.CHALLENGER, verbs.PREVIOUS)
        }
        champion, hold = aliases[verbs.CHAMPION], hold_of(declared.name, services)
        components = champion and components_table(
            declared, champion, services.registry.load(declared.name, champion.version)
        )
    for alias, version in aliases.items():
        known = f"version {version.version}, up to {version.last_block}" if version else "none"
        _out.print(f"{alias}: {known}", highlight=False)
    if hold:
        _out.print(f"held: {escape(str(hold))}", soft_wrap=True, highlight=False)
    for table in (blocks, components, refused):
        if table:
            _out.print(table)


def main() -> None:
    """Entry point: a user's mistake is a line of text and an exit status, never a traceback."""
    try:
        app()
    except BlockmixError as error:
        _complain(error)
        for name, page in getattr(error, "pages", {}).items():
            if page:
                _err.print(f"  {name}: {escape(page)}", soft_wrap=True, highlight=False)
        sys.exit(2 if isinstance(error, InvalidInput) else 3 if isinstance(error, Refused) else 4)
    except OSError as error:  # of the lake, whatever its file system calls it
        _complain(error)
        sys.exit(4)


def _complain(error: Exception) -> None:
    # Messages quote paths and values, whose brackets are no markup.
    _err.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
