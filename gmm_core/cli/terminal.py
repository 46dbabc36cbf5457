"""What all commands share: a stream by its name, the services, and how an outcome is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape

from gmm_core.config import load_settings
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.wiring import Installation, open_services

__all__ = ["By", "Key", "StreamName", "Version", "declared_stream", "err", "out", "show", "working"]

out, err = Console(), Console(stderr=True)

StreamName = Annotated[str, typer.Argument(help="name of a declared stream", metavar="STREAM")]
Key = Annotated[str, typer.Argument(help="block key, a UTC day: 2017-03-14", metavar="KEY")]
By = Annotated[
    Optional[str], typer.Option("--by", help="who says so; default: the name you are logged in by")
]
Version = Annotated[Optional[int], typer.Option(min=1, help="model version; default: the champion")]


@contextmanager
def working(doing: str) -> Iterator[Installation]:
    """The services, and on the terminal what is being done with them."""
    settings = load_settings()
    with err.status(doing):
        yield open_services(settings)


def declared_stream(name: str, **overrides: Any) -> Stream:
    """The stream of that name, with other settings where given; raises as `load_stream`."""
    return load_stream(name, load_settings().streams).with_overrides(**overrides)


def show(outcome: Outcome) -> None:
    """One line on what a verb did, and its pages."""
    facts = ", ".join(f"{name} {_short(value)}" for name, value in outcome.facts.items())
    state = "done" if outcome.changed else "nothing to do"
    out.print(
        f"[bold]{outcome.verb}[/] {outcome.stream} {outcome.key}: {state}; {escape(facts)}",
        soft_wrap=True,
        highlight=False,
    )
    for name, page in outcome.pages.items():
        if page:
            out.print(f"  {name}: {escape(page)}", soft_wrap=True, highlight=False)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
