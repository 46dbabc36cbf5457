"""Queries that score rows by a registered mixture, as plain SQL: dbt renders them, an engine needs no dbt."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmm_core.errors import ComputationFailed, InvalidInput
from gmm_core.extras import optional
from gmm_core.features import Feature
from gmm_core.warehouse.place import PROJECT
from gmm_core.warehouse.running import one_at_a_time

__all__ = ["ENGINES", "MixtureQuery", "rendered"]

# What dbt asks of a connection, though none is made.
ENGINES: dict[str, dict[str, Any]] = {
    "duckdb": {"type": "duckdb", "path": ":memory:"},
    "postgres": {
        "type": "postgres", "host": "127.0.0.1", "port": 1, "user": "nobody", "password": "none",
        "dbname": "none", "schema": "public",
    },
    "spark": {"type": "spark", "method": "session", "host": "NA", "schema": "default"},
}  # fmt: skip

_MACROS = ("scored", "joint")
_RELATION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}", flags=re.ASCII)


@dataclass(frozen=True)
class MixtureQuery:
    """Which rows are asked of which version.

    Parameters
    ----------
    features : the model's, in its order.
    stream, version : of the model.
    rows : table or view with the features and the key, such as `orders` or `shop.orders`.
    key : columns that together tell rows apart.
    parameters : table or view of `gmm_core.parameters`, with columns stream and model_version.
    """

    features: Sequence[Feature]
    stream: str
    version: int
    rows: str
    key: Sequence[str]
    parameters: str = "parameters"

    def __post_init__(self) -> None:
        for name in (self.rows, self.parameters):
            if _RELATION.fullmatch(name) is None:
                raise InvalidInput(
                    "a table's name",
                    got=name,
                    bound="letters, digits and _, at most two dots between",
                    remedy="make a view of that name",
                )
        if not self.key:
            raise InvalidInput("a query's key", got=self.key, bound="one column or more")

    def call(self, macro: str) -> str:
        """The call of a macro of gmm_sql, as dbt reads it."""
        given = {
            "rows": self.rows,
            "key": list(self.key),
            "features": [feature.to_dict() for feature in self.features],
            "parameters": self.parameters,
            "stream": self.stream,
            "version": int(self.version),
        }
        plain = json.loads(json.dumps(given))  # numpy's texts and numbers name themselves
        told = ", ".join(f"{name}={value!r}" for name, value in plain.items())
        return f"{{{{ gmm_sql.{macro}({told}) }}}}"


def rendered(engine: str, queries: Mapping[str, MixtureQuery]) -> dict[str, dict[str, str]]:
    """The SQL of each query in an engine's dialect, by name: {"scored": SQL, "joint": SQL}.

    "scored" gives a row per row, "joint" one per row and component; what their columns mean is in
    dbt/packages/gmm_sql/README.md. Nothing is connected to.

    Raises
    ------
    InvalidInput : an engine that is not among `ENGINES`, or a name that is no file's.
    MissingExtra : dbt's adapter for the engine is not installed.
    ComputationFailed : dbt could not render a query.
    """
    if engine not in ENGINES:
        raise InvalidInput("unknown engine", got=engine, bound=", ".join(ENGINES))
    for name in queries:
        if re.fullmatch(r"\w+", name, flags=re.ASCII) is None:
            raise InvalidInput("name of a query", got=name, bound="letters, digits and _")
    optional(f"dbt.adapters.{engine}", f"Queries for {engine}", f"dbt-{engine}")
    with tempfile.TemporaryDirectory(prefix="blockmix-sql-") as scratch, one_at_a_time:
        _write_project(Path(scratch), engine, queries)
        _compile(Path(scratch))
        made = Path(scratch) / "target" / "compiled" / "scoring" / "models"
        return {
            name: {macro: (made / f"{macro}_{name}.sql").read_text("utf-8") for macro in _MACROS}
            for name in queries
        }


def _write_project(folder: Path, engine: str, queries: Mapping[str, MixtureQuery]) -> None:
    (folder / "models").mkdir()
    (folder / "dbt_project.yml").write_text(
        "name: scoring\nversion: '1.0'\nconfig-version: 2\nprofile: scoring\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    (folder / "dbt_packages").mkdir()  # where `dbt deps` would put it, and what that costs is saved
    (folder / "dbt_packages" / "gmm_sql").symlink_to(PROJECT / "packages" / "gmm_sql")
    target = {"target": "it", "outputs": {"it": {**ENGINES[engine], "threads": 1}}}
    (folder / "profiles.yml").write_text(json.dumps({"scoring": target}))
    for name, query in queries.items():
        for macro in _MACROS:
            text = query.call(macro)
            (folder / "models" / f"{macro}_{name}.sql").write_text(text, "utf-8")


def _compile(folder: Path) -> None:
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    options = {"--project-dir": folder, "--profiles-dir": folder, "--log-path": folder / "logs"}
    told = [str(part) for option in options.items() for part in option]
    quietly = ("--no-populate-cache", "--no-introspect", "--log-level", "none")
    answer = dbtRunner().invoke(["compile", *quietly, *told])
    reset_adapters()  # type: ignore[no-untyped-call]
    if not answer.success:
        why = answer.exception or [one.message for one in getattr(answer.result, "results", ())]
        raise ComputationFailed("dbt could not render a query of gmm_sql", got=str(why))
