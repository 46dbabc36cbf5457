"""Values within the bounds that a mixture sets to single rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from expectations.custom.base import LawExpectation
from expectations.evidence import Evidence
from gmm_core.invariants import Law

__all__ = ["ExpectValuesWithinMixtureBounds"]


class ExpectValuesWithinMixtureBounds(LawExpectation):
    """No more values than chance allows lie beyond the mixture's outer quantiles of their feature.

    `tail` of a feature's values lie below its lower bound, and as many above the upper one, when the mixture
    made them. How many of n may is binomial: `level` is the probability that such rows fail.

    One Spark job.
    """

    kind: ClassVar[str] = "bounds"
    says: ClassVar[str] = (
        "Values lie between the outer quantiles of the mixture, but for as many as chance puts beyond them."
    )
    tail: float = 1e-3
    level: float = 1e-3

    def asked(self) -> dict[str, Any]:
        """Where the bounds are."""
        return {"tail": self.tail}

    def laws(self, found: Evidence) -> Sequence[Law]:
        """Two a feature, and that every row has its values."""
        n = found["rows"] - found["gaps"]
        features = self.model.numeric_features
        most = _most(n, self.tail, self.level / (2 * len(features)))
        laws = [
            Law(
                "rows complete", "Every row has a number.", float(found["gaps"] + (n <= 0)), upper=0
            )
        ]
        for feature, sides in zip(features, found["outside"], strict=True):
            laws += [
                Law(
                    f"{feature.name}: {side}", f"Values {side} (counted).", float(count), upper=most
                )
                for side, count in zip(("too low", "too high"), sides, strict=True)
            ]
        return laws


def _most(n: int, tail: float, level: float) -> float:
    """The least count that more than so many of n rows exceed with probability `level` at most."""
    from scipy.stats import binom

    return float(binom.isf(level, n, tail)) if n > 0 else 0.0
