"""The one metric behind the expectations about mixtures: evidence of a kind, on pandas and on Spark."""

from __future__ import annotations

import json
from typing import Any

from great_expectations.execution_engine import PandasExecutionEngine, SparkDFExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from expectations.evidence import (
    Evidence,
    answer,
    answer_of_spark,
    model_of,
    pinned,
    unanswerable,
)
from gmm_core.codec import to_dict

__all__ = ["METRIC", "MixtureEvidence"]

METRIC = "table.mixture_evidence"


class MixtureEvidence(TableMetricProvider):
    """What a batch answers to a question; or which columns it lacks."""

    metric_name = METRIC
    value_keys = ("question",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 (the library makes it a class method)
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        **_: Any,
    ) -> Evidence:
        rows, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, "table")
        return _asked(metric_value_kwargs["question"], rows, answer)

    @metric_value(engine=SparkDFExecutionEngine)
    def _spark(
        cls,  # noqa: N805
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        **_: Any,
    ) -> Evidence:
        rows, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, "table")
        return _asked(metric_value_kwargs["question"], rows, answer_of_spark)


def _asked(question: str, rows: Any, ask: Any) -> Evidence:
    """The evidence, the mixture that it is about, and the name this has at this moment.

    The mixture goes along by value: Spark's workers need no MLflow, and all use one version.
    """
    asked = json.loads(question)
    named = pinned(asked["mixture"])
    text = json.dumps(to_dict(model_of(named)), sort_keys=True)
    by_value = json.dumps({**asked, "mixture": text}, sort_keys=True)
    missing = unanswerable(by_value, list(rows.columns))
    if missing:
        return {"missing": missing}
    said = named if named.startswith(("models:/", "runs:/")) else "given by value"
    return {**ask(by_value, rows), "mixture": text, "named": said}
