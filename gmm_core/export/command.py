"""`blockmix export STREAM`: a registered model as a file for programs without Blockmix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from gmm_core.cli.terminal import StreamName, Version, declared_stream, err, out, working
from gmm_core.errors import InvalidInput, NotFound
from gmm_core.export.edge import FORMATS, without_correlations
from gmm_core.pipeline.aliases import CHAMPION

__all__ = ["exporting"]

exporting = typer.Typer()


@exporting.command("export")
def export_model(
    stream: StreamName,
    form: Annotated[str, typer.Option("--format", help=" or ".join(FORMATS))] = "json",
    into: Annotated[
        Optional[Path], typer.Option("--out", help="file to write; default: standard output")
    ] = None,
    version: Version = None,
    drop: Annotated[
        bool, typer.Option("--drop-correlations", help="of a model with full or tied covariances")
    ] = False,
) -> None:
    """Write a model as plain numbers, for programs with nothing but a math library."""
    if form not in FORMATS:
        raise InvalidInput("unknown format", got=form, bound=", ".join(FORMATS))
    declared = declared_stream(stream)
    with working(f"exporting {stream}") as services:
        champion = services.registry.alias(declared.name, CHAMPION) if version is None else None
        if version is None and champion is None:
            raise NotFound(f"{declared.name} has no champion", remedy="promote a version")
        number = version or (champion.version if champion else 0)
        model = services.registry.load(declared.name, number)
    text = FORMATS[form](without_correlations(model) if drop else model)
    if into is None:
        out.file.write(text)
        return
    into.write_text(text, encoding="utf-8")
    err.print(f"version {number} of {stream} is in {into}", highlight=False, soft_wrap=True)
