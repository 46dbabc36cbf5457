"""Models: which tables there are, and what a build made of each; what Airflow shows as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gmm_core.warehouse.place import PROJECT

__all__ = ["LAYERS", "ModelBuilt", "State", "built_models", "models"]

LAYERS = ("staging", "scoring", "marts")
State = Literal["built", "refused", "broken", "left"]


@dataclass(frozen=True)
class ModelBuilt:
    """What a build made of one model.

    Parameters
    ----------
    name : the model's.
    state : "built", and its data tests passed; "refused" by one of them; "broken", its SQL or that of a
        test; "left" as it was, because of a model before it.
    seconds : of its SQL and its data tests.
    tests : how many data tests ran.
    says : of the tests that failed or only warn, one line each.
    """

    name: str
    state: State
    seconds: float
    tests: int
    says: tuple[str, ...] = ()


def models() -> dict[str, tuple[str, ...]]:
    """The models of each layer, by the files there are: without dbt, so that it takes no time.

    >>> list(models()), models()["scoring"]
    (['staging', 'scoring', 'marts'], ('entity_segments', 'row_deviations'))
    """
    return {
        layer: tuple(sorted(path.stem for path in PROJECT.glob(f"models/{layer}/*.sql")))
        for layer in LAYERS
    }


def built_models(results: Sequence[Any]) -> tuple[ModelBuilt, ...]:
    """dbt's results, model by model; a data test belongs to the model that it is about."""
    tests: dict[str, list[Any]] = {}
    for result in results:
        if result.node.resource_type == "test":
            tests.setdefault(result.node.attached_node, []).append(result)
    return tuple(
        _built(result, tests.get(result.node.unique_id, []))
        for result in results
        if result.node.resource_type == "model"
    )


def _built(model: Any, tests: Sequence[Any]) -> ModelBuilt:
    statuses = {str(model.status), *(str(test.status) for test in tests)}
    state: State = "built"
    if model.status == "skipped":
        state = "left"
    elif "error" in statuses:
        state = "broken"
    elif "fail" in statuses:
        state = "refused"
    told = [one for one in (model, *tests) if str(one.status) in ("error", "fail", "warn")]
    return ModelBuilt(
        name=model.node.name,
        state=state,
        seconds=round(sum(one.execution_time for one in (model, *tests)), 3),
        tests=sum(test.status != "skipped" for test in tests),
        says=tuple(f"{one.node.name}: {' '.join((one.message or '').split())}" for one in told),
    )
