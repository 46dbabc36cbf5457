"""The marts of a stream: built and tested for one block, or for all of them.

A build is about all blocks whenever the tables were not built yet, or were built by other SQL, for
other columns or from another lake. So no table mixes two layouts or holds a block nobody tested.
"""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from gmm_core.errors import InvalidInput, NotFound
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.warehouse.models import ModelBuilt, built_models
from gmm_core.warehouse.place import Place
from gmm_core.warehouse.running import FailedTest, describe, refuse_errors, run_dbt, write_page

__all__ = ["MartsBuilt", "build_marts", "document_marts"]

# Names that the models give to columns of their own, besides those reserved for every stream.
TAKEN = {
    "row_in_block",
    "written_key",
    "written_stream",
    "component_distance",
    "known_component_id",
    "most_unusual_feature",
    "most_unusual_deviation",
    "most_unusual_low",
    "most_unusual_high",
    "explanation",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MartsBuilt:
    """What a build did.

    Parameters
    ----------
    models, tests : how many models were built and data tests run.
    seconds : wall time.
    failures : tests that failed; the models behind them are left as they were.
    warnings : failed tests that stop nothing.
    skipped : the models left as they were.
    key : the block that was built, `None` for all of them.
    """

    models: int
    tests: int
    seconds: float
    failures: tuple[FailedTest, ...]
    warnings: tuple[FailedTest, ...] = ()
    skipped: tuple[str, ...] = ()
    key: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every data test did."""
        return not self.failures

    @property
    def reason(self) -> str:
        """The tests that failed and what was left as it was because of them, as one text."""
        left = f"; left as before: {', '.join(self.skipped)}" if self.skipped else ""
        return "; ".join(map(str, self.failures)) + left


def build_marts(
    stream: Stream,
    key: str | None,
    lake_url: str,
    warehouse_root: Path,
    tell: Callable[[tuple[ModelBuilt, ...]], object] = lambda models: None,
) -> MartsBuilt:
    """Build and test a stream's tables for one block, or for all blocks with `key=None`.

    Data tests that fail are part of the answer: what follows from them is up to the caller. `tell` hears
    what became of each model, also where this raises because one of them broke.

    Raises
    ------
    InvalidInput : a key that is no day, or a column with a name that the models use themselves.
    NotFound : the block is not transformed, or none is.
    ServiceUnavailable : another process holds the warehouse.
    ComputationFailed : dbt or its SQL broke.
    """
    started = time.perf_counter()
    files, folder = _folder(stream, lake_url)
    _check_block(files, folder, stream.name, key)
    variables, protocol = _variables(stream, _address(files, folder)), _protocol(files)
    place = Place(Path(warehouse_root).resolve(), stream.name)
    with place.held():
        scope = key if place.is_built_for(variables) else None
        if scope is None:
            place.forget()
        results = run_dbt(place, variables, scope, protocol)
        tell(built_models(results))
        refuse_errors(results, place)
        built = _answer(results, place, scope, started)
        if scope is None and built.passed:
            place.remember(variables)
    for failed in (*built.failures, *built.warnings):
        _log.warning("%s", failed)
    return built


def document_marts(stream: Stream, lake_url: str, warehouse_root: Path) -> Path:
    """Write one HTML page of a stream's tables: what they mean, who reads them, what is made of what.

    Returns its path. Raises `NotFound` when the tables were not built yet, else as `build_marts` does.
    """
    files, folder = _folder(stream, lake_url)
    variables = _variables(stream, _address(files, folder))
    place = Place(Path(warehouse_root).resolve(), stream.name)
    if not place.file.exists():
        raise NotFound(
            f"the marts of stream {stream.name} were not built yet",
            bound=str(place.file),
            remedy=f"run: blockmix marts {stream.name}",
        )
    with place.held():
        write_page(place, variables, _protocol(files))
    return place.page


def _folder(stream: Stream, lake_url: str) -> tuple[Any, str]:
    files, root = fsspec.core.url_to_fs(lake_url)
    return files, f"{root}/{stream.name}"


def _address(files: Any, folder: str) -> str:
    return folder if "file" in files.protocol else str(files.unstrip_protocol(folder))


def _protocol(files: Any) -> str:
    return str(files.protocol if isinstance(files.protocol, str) else files.protocol[0])


def _check_block(files: Any, folder: str, stream: str, key: str | None) -> None:
    day = "????-??-??" if key is None else parse_key(key).isoformat()
    if not files.glob(f"{glob.escape(folder)}/transformed/block={day}/_manifest.json"):
        problem = "no block is" if key is None else f"block {key} is not"
        raise NotFound(
            f"{problem} transformed in stream {stream}",
            bound=f"a manifest in {folder}/transformed/block={key or 'KEY'}",
            remedy=f"run: blockmix transform {stream} {key or 'KEY'}",
        )


def _variables(stream: Stream, folder: str) -> dict[str, Any]:
    """What the models know of a stream; the same every day, so that dbt can keep its parse."""
    names = [*stream.source.group_by, *stream.source.columns]
    seen = set(TAKEN)
    for name in names:
        if name.lower() in seen:  # SQL does not tell upper case from lower
            raise InvalidInput(
                f"a column of {stream.name} has a name that is taken",
                got=name,
                bound=f"different names, none of {', '.join(sorted(TAKEN))}",
                remedy="rename it in the stream file",
            )
        seen.add(name.lower())
    return {
        "stream": stream.name,
        "lake": glob.escape(folder),
        "keys": list(stream.source.group_by),
        "columns": list(stream.source.columns),
        "entity": stream.source.entity,
        # Marts are about what can be normalised; categorical features are columns like others.
        "features": [f.to_dict() for f in stream.feature_list if not f.categorical],
    }


def _answer(results: Sequence[Any], place: Place, key: str | None, started: float) -> MartsBuilt:
    models = [r for r in results if r.node.resource_type == "model"]
    tests = [r for r in results if r.node.resource_type == "test" and r.status != "skipped"]
    return MartsBuilt(
        models=sum(r.status == "success" for r in models),
        tests=len(tests),
        failures=tuple(describe(r, place) for r in tests if r.status == "fail"),
        warnings=tuple(describe(r, place) for r in tests if r.status == "warn"),
        skipped=tuple(r.node.name for r in models if r.status == "skipped"),
        key=key,
        seconds=time.perf_counter() - started,
    )
