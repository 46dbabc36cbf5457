"""Made-up transactions with a known truth: what their rows are drawn from, day by day.

A recipe is a mixture in feature space whose means drift, a curve of the day by which rows come,
and a share of injected anomalies. `gmm_core/spark/generating.py` draws the rows, at any size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmm_core import codec
from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, numeric_of
from gmm_core.mixture import Mixture

__all__ = ["TRANSACTIONS", "Recipe"]

_SCHEMA = "blockmix/recipe/1"


@dataclass(frozen=True)
class Recipe:
    """What rows are drawn from.

    Parameters
    ----------
    features : d numeric ones; columns are in source units, the mixture in feature space.
    mixture : of the first day's ordinary rows, d features.
    drift : d shifts of every mean per day, in feature space.
    season : 0 or more, below 1: how much denser rows come at the peak; 0 is all day the same.
    peak : hour of the day, UTC, at which most rows come.
    anomalies : share of rows that are injected anomalies.
    distance : of an anomaly from the mean of all, at least, in deviations of the whole mixture.

    Raises
    ------
    InvalidInput : a value is out of its bounds, or the sizes do not agree.

    >>> TRANSACTIONS.only("amount").on(30).means.shape
    (5, 1)
    """

    features: tuple[Feature, ...]
    mixture: Mixture
    drift: tuple[float, ...]
    season: float = 0.7
    peak: float = 13.0
    anomalies: float = 0.001
    distance: float = 8.0

    def __post_init__(self) -> None:
        numeric = numeric_of(self.features)
        d = self.mixture.n_features
        for name, values in (("features", numeric), ("drift", self.drift)):
            if len(values) != d or len(values) != len(getattr(self, name)):
                raise InvalidInput(
                    f"{name} of a recipe: one for each feature of the mixture, numeric",
                    got=len(getattr(self, name)),
                    bound=str(d),
                )
        bounds = {"season": (0, 0.99), "peak": (0, 24), "anomalies": (0, 0.5), "distance": (0, 100)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:  # NaN is refused, too
                raise InvalidInput(
                    f"{name} of a recipe", got=getattr(self, name), bound=f"{low} to {high}"
                )
        if not np.isfinite(self.drift).all():
            raise InvalidInput("drift of a recipe", got=self.drift, bound="finite numbers")

    def on(self, day: int) -> Mixture:
        """The mixture of the ordinary rows of a day, 0 the first."""
        part = self.mixture
        means = part.means + day * np.array(self.drift)
        return Mixture(part.weights, means, part.covariances, part.covariance_type)

    def only(self, *names: str) -> Recipe:
        """The same of some features; raises `InvalidInput` for one that is not there.

        Rows of fewer features cost less, and have the same times, components and anomalies.
        """
        known = [feature.name for feature in self.features]
        if not names or set(names) - set(known):
            raise InvalidInput("features of a recipe", got=names, bound=", ".join(known))
        at = [known.index(name) for name in names]
        return Recipe(
            tuple(self.features[i] for i in at),
            self.mixture.marginal(at),
            tuple(self.drift[i] for i in at),
            self.season,
            self.peak,
            self.anomalies,
            self.distance,
        )

    def clock(self, share: Array) -> Array:
        """Shares of a day's rows, counted from half a day off the peak, to times in days, 0 to 1.

        The quantile function v + a sin(2 pi v) / (2 pi), turned to the peak: the density of rows at
        the time of v is 1 / (1 + a cos(2 pi v)), largest at v = 1/2.
        """
        turned = share + self.season * np.sin(2 * np.pi * share) / (2 * np.pi)
        times: Array = np.mod(turned + self.peak / 24 - 0.5, 1.0)
        return times

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "schema": _SCHEMA,
            "features": [feature.to_dict() for feature in self.features],
            "mixture": codec.to_dict(self.mixture),
            "drift": list(self.drift),
            "season": self.season,
            "peak": self.peak,
            "anomalies": self.anomalies,
            "distance": self.distance,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """What `to_dict` gave; raises `InvalidInput` for anything else.

        >>> Recipe.from_dict(TRANSACTIONS.to_dict()) == TRANSACTIONS
        True
        """
        if data.get("schema") != _SCHEMA:
            raise InvalidInput("not a recipe: schema", got=data.get("schema"), bound=_SCHEMA)
        try:
            return cls(
                features=tuple(Feature.from_dict(one) for one in data["features"]),
                mixture=codec.from_dict(data["mixture"], Mixture),
                drift=tuple(data["drift"]),
                **{n: data[n] for n in ("season", "peak", "anomalies", "distance")},
            )
        except (KeyError, TypeError) as error:
            raise InvalidInput("not a recipe", got=str(error), bound="what to_dict gives") from None


def _covariance(deviations: tuple[float, ...], correlation: float) -> Array:
    """(3, 3), with one correlation between each two features."""
    correlations = np.full((3, 3), correlation) + (1 - correlation) * np.eye(3)
    covariance: Array = correlations * np.outer(deviations, deviations)
    return covariance


# Card payments: shops, subscriptions, travel, rent, cash. Logarithms of dollars and of minutes
# since the card was last used, and the fee in dollars.
TRANSACTIONS = Recipe(
    features=(Feature("amount", "log"), Feature("gap", "log"), Feature("fee")),
    mixture=Mixture(
        np.array([0.46, 0.2, 0.08, 0.06, 0.2]),
        np.array(
            [[3.4, 6.2, 0.5], [2.4, 9.6, 0.1], [5.8, 4.0, 2.6], [7.1, 10.6, 1.2], [4.1, 7.6, 3.0]]
        ),
        np.stack(
            [
                _covariance((0.8, 1.1, 0.15), 0.3),
                _covariance((0.25, 0.4, 0.05), 0.0),
                _covariance((0.9, 1.0, 0.6), 0.6),
                _covariance((0.3, 0.3, 0.2), 0.1),
                _covariance((0.5, 0.9, 0.3), -0.2),
            ]
        ),
    ),
    drift=(0.003, -0.002, 0.001),
)
