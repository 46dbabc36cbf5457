"""The distribution of scores beside that of reference batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from expectations.custom.base import LawExpectation
from expectations.evidence import Evidence, answer
from gmm_core.codec import to_dict
from gmm_core.drift.divergences import shares_divergence
from gmm_core.invariants import Law
from gmm_core.model import DensityModel

__all__ = ["ExpectScoresToMatchReference", "score_cells"]


class ExpectScoresToMatchReference(LawExpectation):
    """Scores fall into cells as they did in reference batches, by two distances.

    The distances are the largest difference of the distribution functions at the cells' edges (Kolmogorov and
    Smirnov's) and Jensen and Shannon's divergence of the shares, from the pooled reference. Their bounds are
    bootstrapped: a batch of the reference is set against a sample, with replacement, of the others, after
    as many rows as the new batch has were drawn from its shares. `level` is the share of `draws` beyond.

    `reference` has one list of counts a batch (`score_cells`), of at least two batches. One Spark job.
    """

    kind: ClassVar[str] = "scores"
    says: ClassVar[str] = (
        "Anomaly scores are distributed as in the reference batches, by as much as these differ."
    )
    reference: list[list[int]]
    level: float = 1e-3
    draws: int = 4_000

    def laws(self, found: Evidence) -> Sequence[Law]:
        """Both distances, and that every row has a score."""
        counts = np.asarray(found["cells"], np.float64)
        laws = [Law("rows scored", "Every row could be scored.", float(found["gaps"]), upper=0)]
        reference = np.asarray(self.reference, np.float64)
        rows = int(counts.sum())
        usual = _bootstrap(reference, rows, self.draws)
        pooled = reference.sum(axis=0)
        for at, (name, far) in enumerate(_DISTANCES.items()):
            laws.append(
                Law(
                    name,
                    f"The {name} from the reference's scores is as small as among these.",
                    far(pooled, counts) if rows else np.nan,
                    upper=float(np.quantile(usual[:, at], 1 - self.level / 2)),
                )
            )
        return laws


def score_cells(model: DensityModel, rows: pd.DataFrame) -> list[int]:
    """How many rows, in source units, have a score in each of 20 cells of equal width from 0 to 1."""
    question = {"kind": "scores", "mixture": json.dumps(to_dict(model))}
    return list(answer(json.dumps(question), rows)["cells"])


def _bootstrap(reference: np.ndarray, rows: int, draws: int) -> np.ndarray:
    """(draws, 2) distances of a resampled batch from the resampled others; the same for the same input."""
    rng = np.random.default_rng(0)
    found = np.empty((draws, len(_DISTANCES)))
    for at in range(draws):
        one = rng.integers(len(reference))
        others = np.delete(np.arange(len(reference)), one)
        pooled = reference[rng.choice(others, len(others))].sum(axis=0)
        drawn = rng.multinomial(max(rows, 1), reference[one] / reference[one].sum())
        found[at] = [far(pooled, drawn) for far in _DISTANCES.values()]
    return found


def _largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.cumsum(a) / a.sum() - np.cumsum(b) / b.sum()).max())


_DISTANCES = {
    "largest difference": _largest_difference,
    "Jensen-Shannon divergence": shares_divergence,
}
