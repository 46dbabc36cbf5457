"""From a validation result to checks that a person understands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gmm_core.pipeline.ports import Check

__all__ = ["UNANSWERED", "Finding", "findings_of"]

UNANSWERED = "could not be evaluated"

_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Finding:
    """A check, and what it says in a sentence."""

    check: Check
    says: str


def findings_of(result: Any) -> list[Finding]:
    """The findings of a suite's validation result, in the order the suite was written.

    An expectation that could not be evaluated (the column is missing, the values cannot be
    compared) is a failed check.
    """
    ordered = sorted(result.results, key=lambda one: one.expectation_config.meta["place"])
    return [_finding(one) for one in ordered]


def _finding(one: Any) -> Finding:
    config = one.expectation_config
    trouble = _trouble(one.exception_info or {})
    describe = _DESCRIBE[config.type]
    got = _reworded(trouble, config) if trouble else describe(one.result, config)
    passed = bool(one.success) and not trouble
    return Finding(
        Check(config.meta["check"], passed, got, config.meta["bound"]), config.description
    )


def _trouble(info: Mapping[str, Any]) -> str:
    """Message of the exception behind a result, or "": the library nests one for every metric."""
    entries = [info, *(entry for entry in info.values() if isinstance(entry, Mapping))]
    for entry in entries:
        if entry.get("raised_exception"):
            return str(entry.get("exception_message") or "an exception without a message")
    return ""


def _reworded(trouble: str, config: Any) -> str:
    column = config.kwargs.get("column")
    if column and "does not exist" in trouble:
        return "not looked at: no usable column"
    return f"{UNANSWERED}: {trouble.splitlines()[0][:200]}"


def _count(result: Mapping[str, Any], _: Any) -> str:
    return f"{result['observed_value']} rows"


def _type(_: Mapping[str, Any], config: Any) -> str:
    return str(config.meta["found"])


def _present(result: Mapping[str, Any], _: Any) -> str:
    missing, rows = result["unexpected_count"], result["element_count"]
    if not missing:
        return "all values"
    return f"{_percent(missing, rows)} missing ({missing} of {rows} rows)"


def _inside(result: Mapping[str, Any], config: Any) -> str:
    outside = result["unexpected_count"]
    looked_at = result["element_count"] - result.get("missing_count", 0)
    if not outside:
        return "all values" if looked_at else "no values"
    example = result["partial_unexpected_list"][0]
    since = config.meta.get("since")
    shown = _moment(since, example) if since else f"{example:.10g}"
    return f"{_percent(outside, looked_at)} outside, e.g. {shown}"


def _number(result: Mapping[str, Any], config: Any) -> str:
    value, detail = result.get("observed_value"), config.meta.get("detail")
    shown = "not measured" if value is None else f"{float(value):.6g}"
    return f"{shown} ({detail})" if detail else shown


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 0.05 else f"{share:.1g} %"


def _moment(day: str, hours: float) -> str:
    try:
        return f"{dt.datetime.fromisoformat(day) + hours * _HOUR:%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{hours:.6g} hours after {day} 00:00"


_DESCRIBE: dict[str, Callable[[Mapping[str, Any], Any], str]] = {
    "expect_table_row_count_to_be_between": _count,
    "expect_column_to_exist": _type,
    "expect_column_values_to_not_be_null": _present,
    "expect_column_values_to_be_between": _inside,
    "expect_column_stdev_to_be_between": _number,
    "expect_column_max_to_be_between": _number,
}
