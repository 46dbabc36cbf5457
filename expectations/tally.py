"""The tally of a Spark frame: each partition gives its own, and nothing but tallies reaches the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gmm_core.model import DensityModel
from gmm_core.pipeline.tally import Tally, judged_columns, tally_of

__all__ = ["tally_of_spark"]


def tally_of_spark(rows: Any, model: DensityModel, bound: float) -> Tally:
    """`tally_of` for a Spark frame of any size: one job, one short text per partition comes back."""

    def tallies(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        total = Tally.empty(len(model.numeric_features))
        for batch in batches:
            total = total + tally_of(batch, model, bound)
        yield pd.DataFrame({"tally": [total.to_json()]})

    parts = rows.select(*judged_columns(model)).mapInPandas(tallies, "tally string").collect()
    return sum(
        (Tally.from_json(part[0]) for part in parts), Tally.empty(len(model.numeric_features))
    )
