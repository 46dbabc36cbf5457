"""dbt in this process, and what it has to say in plain text."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmm_core.errors import ComputationFailed, ServiceUnavailable
from gmm_core.warehouse.place import PROJECT, Place

__all__ = ["FailedTest", "describe", "one_at_a_time", "refuse_errors", "run_dbt", "write_page"]

SAMPLE_ROWS = 2
SAMPLE_CHARACTERS = 300

one_at_a_time = threading.Lock()  # dbt keeps its state in globals, and reads the environment


@dataclass(frozen=True)
class FailedTest:
    """A data test that found rows it should not find.

    Parameters
    ----------
    name, table : the test, and the model it looks at.
    rows : how many rows it found.
    says : what the test is about; may be empty.
    sample : the first of these rows, as text.
    sql : path of the test's compiled SQL, which selects the rows.
    """

    name: str
    table: str
    rows: int
    says: str
    sample: str
    sql: str

    def __str__(self) -> str:
        says = f" ({self.says})" if self.says else ""
        rows = f"{self.rows} bad {'row' if self.rows == 1 else 'rows'}"
        return f"{self.name} of {self.table}{says}: {rows}, {self.sample}; SQL: {self.sql}"


def run_dbt(
    place: Place, variables: dict[str, Any], key: str | None, protocol: str
) -> Sequence[Any]:
    """Build and test every model for one block, or anew for all blocks with `key=None`.

    Returns dbt's results, one per model and data test; `refuse_errors` looks whether SQL broke.

    Raises
    ------
    ServiceUnavailable : another process has the DuckDB file open.
    ComputationFailed : dbt broke.
    """
    # Unit tests are about the SQL and not about today's rows: the test suite runs them.
    wish = ["build", "--exclude-resource-type", "unit_test", "--no-write-json"]
    if key is None:
        wish.append("--full-refresh")
    results: Sequence[Any] = getattr(_invoke(wish, place, variables, key, protocol), "results", ())
    return results


def refuse_errors(results: Sequence[Any], place: Place) -> None:
    """Raises `ComputationFailed` when the SQL of a model or of a test broke."""
    errors = [result for result in results if result.status == "error"]
    if errors:
        raise _wrong_sql(place, errors)


def write_page(place: Place, variables: dict[str, Any], protocol: str) -> None:
    """Write the documentation of the tables as one HTML file; raises as `run_dbt` does."""
    _invoke(["docs", "generate", "--static"], place, variables, None, protocol)
    made = place.work / "target"
    page, told = (made / name for name in ("static_index.html", "manifest.json"))
    manifest = told.read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8").replace(manifest, _without_examples(manifest))
    page.write_text(text, encoding="utf-8")
    page.replace(place.page)


def _without_examples(manifest: str) -> str:
    """What dbt knows of the project, less the unit tests: the page draws them as if they were tables."""
    known = json.loads(manifest)
    examples = known.pop("unit_tests")
    for side in ("parent_map", "child_map"):
        known[side] = {
            node: [other for other in others if other not in examples]
            for node, others in known[side].items()
            if node not in examples
        }
    return json.dumps({**known, "unit_tests": {}})


def _invoke(
    wish: list[str], place: Place, variables: dict[str, Any], key: str | None, protocol: str
) -> Any:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    environment = {
        "BLOCKMIX_WAREHOUSE_FILE": str(place.file),
        "BLOCKMIX_LAKE_PROTOCOL": protocol,
        "BLOCKMIX_BLOCK": key or "",
    }
    with one_at_a_time, _environment(environment):
        try:
            answer = dbtRunner().invoke([*wish, *_options(place, variables, protocol)])
        finally:
            reset_adapters()  # type: ignore[no-untyped-call]
            # Gives the lock of the file back, which dbt keeps for a next run in this process.
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if answer.exception is not None:
        raise _broken(place, answer.exception)
    return answer.result


def describe(result: Any, place: Place) -> FailedTest:
    """A data test of dbt's that did not pass, with the first rows it found."""
    node = result.node
    return FailedTest(
        name=node.name,
        table=node.attached_node.rsplit(".", 1)[-1],
        rows=result.failures,
        says=_one_line(node.description).rstrip("."),
        sample=_sample(node.compiled_code, place.file),
        sql=_sql_path(node, place),
    )


def _options(place: Place, variables: dict[str, Any], protocol: str) -> list[str]:
    options = {
        "--vars": json.dumps(variables),
        "--target": "local" if protocol in ("file", "local") else "remote",
        "--project-dir": str(PROJECT),
        "--profiles-dir": str(PROJECT),
        "--target-path": str(place.work / "target"),
        "--log-path": str(place.work / "logs"),
        "--log-level": "none",  # what there is to say is in the results
        "--log-level-file": "none",
    }
    return [*(part for option in options.items() for part in option), "--no-version-check"]


def _wrong_sql(place: Place, errors: Sequence[Any]) -> ComputationFailed:
    names, text = ", ".join(e.node.name for e in errors), _one_line(errors[0].message)
    if "out of sync" in text:  # a column came with another type than the blocks before it
        remedy = f"build all blocks anew: blockmix marts {place.stream}"
    else:
        remedy = f"read the SQL in {_sql_path(errors[0].node, place)}"
    return ComputationFailed(f"dbt could not run {names} ({text})", remedy=remedy)


def _broken(place: Place, error: BaseException) -> BaseException:
    """What stopped dbt as a whole, as an error of ours; dbt hands back even an interrupt."""
    if not isinstance(error, Exception):
        return error
    text = _one_line(str(error))
    if "Could not set lock on file" in text:
        return ServiceUnavailable(
            f"another process has the warehouse open ({text})",
            got=str(place.file),
            bound="one process while the marts are built",
            remedy="close it and build again",
        )
    return ComputationFailed(
        f"dbt broke off ({type(error).__name__}: {text})",
        remedy=f"delete {place.work} and build again",
    )


def _sample(sql: str, file: Path) -> str:
    """The first rows a failed test selects, as text."""
    import duckdb

    try:
        with duckdb.connect(str(file), read_only=True) as warehouse:
            cursor = warehouse.execute(f"select * from ({sql}) limit {SAMPLE_ROWS}")  # noqa: S608
            names = [column[0] for column in cursor.description or ()]
            rows = cursor.fetchall()
    except duckdb.Error as error:  # the verdict stands without a sample
        return f"not readable now ({_one_line(str(error))})"
    texts = (", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True)) for row in rows)
    return "such as " + " and ".join(f"[{text[:SAMPLE_CHARACTERS]}]" for text in texts)


def _sql_path(node: Any, place: Place) -> str:
    return str(PROJECT / (node.compiled_path or place.work / "target"))


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
