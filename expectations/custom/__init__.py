"""Expectations about mixtures, for the suites of anyone: pandas and Spark batches, rendered in Data Docs."""

from expectations.custom.moments import ExpectMomentsToMatchMixture
from expectations.custom.scores import ExpectScoresToMatchReference, score_cells
from expectations.custom.table import ExpectComponentTableInvariants
from expectations.custom.transformed import ExpectTransformToRoundTrip
from expectations.custom.values import ExpectValuesWithinMixtureBounds

__all__ = [
    "ExpectComponentTableInvariants",
    "ExpectMomentsToMatchMixture",
    "ExpectScoresToMatchReference",
    "ExpectTransformToRoundTrip",
    "ExpectValuesWithinMixtureBounds",
    "score_cells",
]
