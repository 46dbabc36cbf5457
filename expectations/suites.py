"""The suites, built by code: one function per gate, stock expectations only.

A suite states what is expected in words a person reads (`description`); what a report needs besides
the library's own result travels in each expectation's `meta`: name, bound, and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.views import EVENT_TIME
from gmm_core.invariants import Law
from gmm_core.pipeline.settings.features import CategoricalSettings, FeatureSettings
from gmm_core.pipeline.settings.gates import Gates
from gmm_core.pipeline.streams import Stream

__all__ = ["laws_suite", "rows_suite"]


def rows_suite(stream: Stream, key: str, found: dict[str, str]) -> gx.ExpectationSuite:
    """What the rows of a block must be.

    Parameters
    ----------
    stream : its `gates` and the features' bounds are the suite's.
    key : block key.
    found : type of every column as the rows have it (`View.found`), for the report.
    """
    gates = stream.gates
    expected = [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=gates.minimum_rows,
            **_said("rows", f"at least {gates.minimum_rows}", "The block has enough rows to fit."),
        ),
        gxe.ExpectColumnToExist(
            column=EVENT_TIME,
            **_said(
                f"{EVENT_TIME}: a timestamp",
                "a column of timestamps",
                f"The rows have {EVENT_TIME}, and it holds timestamps.",
                found=found[EVENT_TIME],
            ),
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column=EVENT_TIME,
            **_said(f"{EVENT_TIME}: present", "all values", "Every row has its event time."),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column=EVENT_TIME,
            min_value=0.0,
            max_value=24.0,
            strict_max=True,
            **_said(
                f"{EVENT_TIME}: inside {key} UTC",
                "all values",
                f"Every row lies in the block's day: from {key} 00:00 UTC, before the next midnight.",
                since=key,
            ),
        ),
    ]
    for name, feature in stream.numeric_features.items():
        expected += _feature(stream, name, feature, found[name])
    for name, declared in stream.categorical_features.items():
        expected += _categorical(stream, name, declared, found[name])
    return _suite(stream, "rows", expected)


def laws_suite(
    stream: Stream, gate: str, laws: Sequence[Law], details: Mapping[str, str]
) -> gx.ExpectationSuite:
    """What named values must be, each within the bounds of its own law.

    The batch is one row wide, one column per law. The largest value of a column of one value is the
    value: so the report shows the number itself, and NaN fails instead of passing as a gap.
    `details` are words to stand beside the values of some laws, by name.
    """
    return _suite(
        stream,
        gate,
        [
            gxe.ExpectColumnMaxToBeBetween(
                column=law.name,
                min_value=law.lower,
                max_value=law.upper,
                **_said(
                    law.name,
                    _between(law.lower, law.upper),
                    law.says,
                    detail=details.get(law.name, ""),
                ),
            )
            for law in laws
        ],
    )


def _feature(stream: Stream, name: str, feature: FeatureSettings, found: str) -> list[Any]:
    gates = stream.gates
    low, high = f"{feature.minimum:.10g}", f"{feature.maximum:.10g}"
    unit = f" {feature.unit}" if feature.unit else ""
    return [
        *_there(name, "numeric", "numbers", gates, found),
        gxe.ExpectColumnValuesToBeBetween(
            column=name,
            min_value=feature.minimum,
            max_value=feature.maximum,
            mostly=gates.in_range,
            **_said(
                f"{name}: between {low} and {high}{unit}",
                _share(gates.in_range),
                f"Values of {name} are sane: from {low} to {high}{unit}.",
            ),
        ),
        gxe.ExpectColumnStdevToBeBetween(
            column=name,
            min_value=0.0,
            strict_min=True,
            **_said(
                f"{name}: varies",
                "a standard deviation above 0",
                f"{name} is not constant: no Gaussian could be fitted to it.",
            ),
        ),
    ]


def _categorical(stream: Stream, name: str, feature: CategoricalSettings, found: str) -> list[Any]:
    """The view has 0 for a value that is one of the levels, 1 for another (`views`)."""
    return [
        *_there(name, "categorical", "text", stream.gates, found),
        gxe.ExpectColumnValuesToBeBetween(
            column=name,
            min_value=0.0,
            max_value=0.0,
            mostly=1 - feature.other,
            **_said(
                f"{name}: one of {len(feature.levels)} levels",
                _share(1 - feature.other),
                f"Values of {name} are among its declared levels, but for what may be others.",
            ),
        ),
    ]


def _there(name: str, kind: str, holds: str, gates: Gates, found: str) -> list[Any]:
    """The column exists with values of its kind, and rows have them."""
    return [
        gxe.ExpectColumnToExist(
            column=name,
            **_said(
                f"{name}: {kind}",
                f"a column of {holds}",
                f"The rows have {name}, and it holds {holds}.",
                found=found,
            ),
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column=name,
            mostly=gates.completeness,
            **_said(f"{name}: present", _share(gates.completeness), f"Rows have their {name}."),
        ),
    ]


def _said(name: str, bound: str, says: str, **more: str) -> dict[str, Any]:
    return {"description": says, "meta": {"check": name, "bound": bound, **more}}


def _share(share: float) -> str:
    return "all values" if share == 1 else f"at least {100 * share:.6g} % of values"


def _between(lower: float | None, upper: float | None) -> str:
    if lower is None:
        return f"at most {upper:.6g}"
    if upper is None:
        return f"at least {lower:.6g}"
    if f"{lower:.6g}" == f"{upper:.6g}":
        return f"{(lower + upper) / 2:.6g} ± {(upper - lower) / 2:.1g}"
    return f"{lower:.6g} to {upper:.6g}"


def _suite(stream: Stream, gate: str, expected: list[Any]) -> gx.ExpectationSuite:
    # Results come back in the library's own order; the report keeps this one.
    for place, expectation in enumerate(expected):
        expectation.meta["place"] = place
    return gx.ExpectationSuite(name=f"{stream.name}.{gate}", expectations=expected)
