"""Moments of a batch beside those of a mixture: mean, variance, skewness and kurtosis, feature by feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from scipy import special

from expectations.custom.base import LawExpectation
from expectations.evidence import Evidence
from gmm_core.invariants import Law
from gmm_core.mixed.mixture import numeric_part
from gmm_core.model import DensityModel

__all__ = ["ExpectMomentsToMatchMixture", "standardised_powers"]

_NAMES = ("mean", "variance", "skewness", "kurtosis")


class ExpectMomentsToMatchMixture(LawExpectation):
    """The means of the first four powers of each feature, in the mixture's own deviations about its own mean.

    Of rows that the mixture made they are 0, 1, its skewness and its kurtosis, and n of them have a known
    sampling error, from the mixture's moments up to the eighth. `level` is the probability that rows of the
    mixture fail, shared out over all comparisons, by the normal limit; `between` is the deviation of batch
    means in deviations of rows, for batches that share something, as a day's rows share the day.

    One Spark job.
    """

    kind: ClassVar[str] = "moments"
    says: ClassVar[str] = (
        "Mean, variance, skewness and kurtosis of every feature are those of the mixture, but for the error "
        "of so many rows."
    )
    level: float = 1e-3
    between: float = 0.0

    def laws(self, found: Evidence) -> Sequence[Law]:
        """Four a feature, and that every row has its values."""
        n = max(found["rows"] - found["gaps"], 0)
        complete = Law(
            "rows complete", "Every row has a number.", float(found["gaps"] + (n == 0)), upper=0
        )
        features = self.model.numeric_features
        powers = standardised_powers(self.model)
        reach = -special.ndtri(self.level / (2 * 4 * len(features)))
        sums = np.asarray(found["powers"]) / max(n, 1)
        laws = [complete]
        for at, feature in enumerate(features):
            for power, name in enumerate(_NAMES, start=1):
                expected = powers[at, power]
                spread = powers[at, 2 * power] - expected**2
                error = float(np.sqrt(spread * (1 / max(n, 1) + self.between**2)))
                laws.append(
                    Law(
                        f"{feature.name}: {name}",
                        f"The {name} of {feature.name} is the mixture's.",
                        float(sums[at, power - 1]) if n else np.nan,
                        float(expected - reach * error),
                        float(expected + reach * error),
                    )
                )
        return laws


def standardised_powers(model: DensityModel) -> np.ndarray:
    """(d, 9) means of the powers 0 to 8 of each feature, standardised by the mixture's mean and deviation.

    Of a Gaussian E z^p = m E z^(p-1) + (p - 1) v E z^(p-2), of a mixture the weighted mean.
    """
    mixture = numeric_part(model.mixture)
    scale = np.sqrt(np.diagonal(mixture.covariance()))
    m = (mixture.means - mixture.mean()) / scale
    v = np.square(mixture.standard_deviations() / scale)
    powers = [np.ones_like(m), m]
    for p in range(2, 9):
        powers.append(m * powers[-1] + (p - 1) * v * powers[-2])
    return np.stack([mixture.weights @ power for power in powers], axis=1)
