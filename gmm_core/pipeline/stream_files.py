"""Stream files: one YAML file declares a stream; a second stream needs only a second file.

Whatever is wrong with a file is raised as `InvalidStream`, naming the file, the key, the value and
what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from gmm_core.errors import InvalidStream, NotFound
from gmm_core.pipeline.streams import Stream, first_problem

__all__ = ["load_stream", "load_streams", "stream_names"]


def load_stream(name: str, folder: Path) -> Stream:
    """Read `<folder>/<name>.yaml`; raises `NotFound` or `InvalidStream`."""
    known = stream_names(folder)
    if name not in known:  # also keeps a name from walking out of the folder
        raise NotFound(
            "no such stream",
            got=name,
            bound=", ".join(known) or f"no file in {folder}",
            remedy=f"name one of these, or declare it in {folder / 'NAME.yaml'}",
        )
    return _read(folder / f"{name}.yaml")


def load_streams(folder: Path) -> Iterator[Stream | InvalidStream]:
    """Every stream of the folder in name order; in place of a wrong file's stream, its error."""
    for name in stream_names(folder):
        try:
            yield _read(folder / f"{name}.yaml")
        except InvalidStream as error:
            yield error


def stream_names(folder: Path) -> list[str]:
    """Names of the declared streams, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _read(path: Path) -> Stream:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # such as a day that no calendar has
        raise InvalidStream(
            f"{path}: not readable as YAML ({' '.join(str(error).split())})"
        ) from None
    if not isinstance(data, Mapping):
        raise InvalidStream(f"{path}: the file must hold keys and values", got=type(data).__name__)
    try:
        stream = Stream.model_validate(dict(data))
    except ValidationError as error:
        key, got, allowed = first_problem(error)
        raise InvalidStream(
            f"{path}: key {key!r}", got=got, bound=allowed, remedy="correct the file"
        ) from None
    if stream.name != path.stem:
        raise InvalidStream(
            f"{path}: key 'stream'", got=stream.name, bound=f"the file's own name, {path.stem!r}"
        )
    return stream
