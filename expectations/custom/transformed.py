"""Transformed rows give back what they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from expectations.custom.base import LawExpectation
from expectations.evidence import Evidence
from gmm_core.invariants import Law
from gmm_core.pipeline.output import round_trip_laws

__all__ = ["ExpectTransformToRoundTrip"]


class ExpectTransformToRoundTrip(LawExpectation):
    """Normalised values and components give back the source values, to 1e-9 of their size.

    For rows as `transform` writes them. One Spark job.
    """

    kind: ClassVar[str] = "round trip"
    says: ClassVar[str] = "Normalised values and components give back the values they were made of."

    def laws(self, found: Evidence) -> Sequence[Law]:
        """One a feature, that rows are complete, and that components are the model's."""
        complete = found["rows"] - found["gaps"]
        return [
            Law(
                "rows complete",
                "Every row is complete.",
                float(found["gaps"] + (complete <= 0)),
                upper=0,
            ),
            Law("component known", "Components are the model's.", float(found["strange"]), upper=0),
            *round_trip_laws(
                self.model, np.asarray(found["largest error"]) if complete > 0 else None
            ),
        ]
