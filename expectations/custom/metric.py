"""The one metric behind the expectations about mixtures: evidence of a kind, on pandas and on Spark."""

from __future__ import annotations

from typing import Any

from great_expectations.execution_engine import PandasExecutionEngine, SparkDFExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from expectations.evidence import Evidence, answer, answer_of_spark, unanswerable

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
    missing = unanswerable(question, list(rows.columns))
    return {"missing": missing} if missing else ask(question, rows)
