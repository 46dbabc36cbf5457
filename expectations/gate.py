"""The gate on Great Expectations: rows, fits, window mixtures and transformed rows.

What Spark is asked: `check_rows` and `check_transformed` bring a frame of at most `IN_PROCESS` rows
here, one job, and judge it with pandas. A larger frame stays in Spark: for d features `check_rows`
then makes three aggregates and 2d + 2 searches for values that are not as expected,
`check_transformed` one more job, whatever d. The other two gates never touch Spark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from expectations.tally import tally_of_spark
from expectations.views import is_spark, spark_answers, view_of
from gmm_core.drift.precedent import precedent_laws
from gmm_core.errors import ServiceUnavailable
from gmm_core.invariants import Law, block_laws, window_laws
from gmm_core.model import DensityModel
from gmm_core.pipeline.output import USABLE, output_laws
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.pipeline.tally import judged_columns, tally_of
from gmm_core.summary import BlockSummary

if TYPE_CHECKING:
    from expectations.site import Site

__all__ = ["IN_PROCESS", "ExpectationsGate"]

IN_PROCESS = 100_000


class ExpectationsGate:
    """A `Gate` whose every answer is a Great Expectations validation with a page in Data Docs.

    Bad data never raises: a column that is missing, empty or full of text is a failed check.

    Parameters
    ----------
    root : folder of results and Data Docs; made on first use.
    docs_url : address under which `<root>/gx/docs` is served; without it a report's page is the
        path of a file.
    in_process : a Spark frame of at most so many rows is judged in this process.
    """

    def __init__(self, root: Path, docs_url: str = "", *, in_process: int = IN_PROCESS) -> None:
        self.root = Path(root)
        self.docs_url = docs_url
        self.in_process = in_process

    def check_rows(self, stream: Stream, key: str, rows: Any) -> GateReport:
        """Rows of a block: schema, completeness, ranges, rows inside the block's day, enough rows."""
        from expectations.suites import rows_suite

        with spark_answers(f"the rows gate about block {key}"):
            levels = {name: f.levels for name, f in stream.categorical_features.items()}
            day = parse_key(key)
            view = view_of(rows, list(stream.numeric_features), day, self.in_process, levels)
        return self._report("rows", key, view.frame, rows_suite(stream, key, view.found))

    def check_summary(
        self, stream: Stream, summary: BlockSummary, reference: Sequence[BlockSummary] = ()
    ) -> GateReport:
        """A fit: the laws of a block summary, and what the blocks before it let expect."""
        gates = stream.gates
        laws = block_laws(
            summary, condition_number=gates.condition_number, maximum_weight=gates.maximum_weight
        )
        if reference:
            laws += precedent_laws(summary, reference, gates.against_window.level)
        return self._judge(stream, "fit", summary.key, laws)

    def check_window(
        self, stream: Stream, key: str, model: DensityModel, blocks: list[BlockSummary]
    ) -> GateReport:
        """A window mixture: its laws over the block summaries that it was merged from."""
        gates = stream.gates
        laws = window_laws(
            model.mixture,
            blocks,
            condition_number=gates.condition_number,
            maximum_weight=gates.maximum_weight,
        )
        return self._judge(stream, "window", key, laws)

    def check_transformed(
        self, stream: Stream, key: str, rows: Any, model: DensityModel
    ) -> GateReport:
        """Transformed rows: complete, bounded, invertible, and plausible under the model."""
        tally = None
        with spark_answers(f"the output gate about block {key}"):
            view = view_of(rows, judged_columns(model), None, self.in_process)
            if not view.unusable:
                count = tally_of_spark if is_spark(view.frame) else tally_of
                tally = count(view.frame, model, stream.gates.normalised_bound)
        laws = output_laws(model, stream.gates, tally, view.unusable)
        listed = ", ".join(f"{name}: {kind}" for name, kind in view.unusable.items())
        return self._judge(stream, "transformed", key, laws, {USABLE: listed})

    def _judge(
        self,
        stream: Stream,
        gate: str,
        key: str,
        laws: Sequence[Law],
        details: Mapping[str, str] | None = None,
    ) -> GateReport:
        from expectations.suites import laws_suite

        frame = pd.DataFrame(
            {law.name: [law.got if np.isfinite(law.got) else np.nan] for law in laws}
        )
        return self._report(gate, key, frame, laws_suite(stream, gate, laws, details or {}))

    def _report(self, gate: str, key: str, frame: Any, suite: Any) -> GateReport:
        from expectations.report import UNANSWERED, findings_of

        source = "spark" if is_spark(frame) else "pandas"
        result, page = self._site.validate(frame, suite, key, source)
        checks = tuple(finding.check for finding in findings_of(result))
        unanswered = [check.got for check in checks if check.got.startswith(UNANSWERED)]
        if source == "spark" and unanswered:
            # The frame holds numbers alone, so it is not the data that Spark failed on.
            raise ServiceUnavailable(
                f"Spark could not answer the {gate} gate about block {key}",
                got=unanswered[0],
                remedy="look at the Spark server, then run the block again",
            )
        return GateReport(gate, checks, page)

    @cached_property
    def _site(self) -> Site:
        from expectations.site import Site

        return Site(self.root, self.docs_url)
