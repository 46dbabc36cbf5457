"""Findings: measures as they were taken, each with what is allowed of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gmm_core.errors import InvalidInput
from gmm_core.health.catalogue import CATALOGUE, Stage

__all__ = ["Finding", "findings", "measure_of"]


@dataclass(frozen=True)
class Finding:
    """A measure, taken. `ok` is none where nothing is asked of it."""

    metric: str
    value: float
    unit: str
    at_least: float | None
    at_most: float | None

    @property
    def ok(self) -> bool | None:
        """Whether the value is within what is allowed; a value that is no number is not."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


def findings(
    values: Mapping[str, float],
    stage: Stage,
    at_least: Mapping[str, float | None] | None = None,
    at_most: Mapping[str, float | None] | None = None,
) -> Iterator[Finding]:
    """Measures taken at a stage, in the catalogue's order, with its thresholds or others given by name.

    A measure of each feature is named `measure/feature`, and has the measure's thresholds. A threshold of
    `None` asks nothing. Raises `InvalidInput` for a name that is not in the catalogue.

    >>> [one.ok for one in findings({"silhouette": 0.2}, "merge", {"silhouette": 0.1})]
    [True]
    """
    lower, upper = at_least or {}, at_most or {}
    unknown = sorted({*map(measure_of, values), *lower, *upper} - CATALOGUE.keys())
    if unknown:
        raise InvalidInput("unknown measures", got=unknown, bound=", ".join(CATALOGUE))
    order = {name: at for at, name in enumerate(CATALOGUE)}
    for full in sorted(values, key=lambda one: order[measure_of(one)]):
        name = measure_of(full)
        measure = CATALOGUE[name]
        asked = not measure.judged or stage in measure.judged
        low = lower.get(name, measure.at_least) if asked else None
        high = upper.get(name, measure.at_most) if asked else None
        yield Finding(full, float(values[full]), measure.unit, low, high)


def measure_of(name: str) -> str:
    """The entry of the catalogue that a metric is of.

    >>> measure_of("feature_shift/amount")
    'feature_shift'
    """
    return name.partition("/")[0]
