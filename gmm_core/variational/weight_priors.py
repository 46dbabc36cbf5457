"""Priors of a mixture's weights: what is known of them before any row, and after.

A prior turns the rows that each component explains into a posterior of the weights; its parameters
are called *concentration*. Another prior is one more class and one more entry of `WEIGHT_PRIORS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import betaln, digamma, gammaln

from gmm_core.arrays import Array
from gmm_core.settings import check_settings

__all__ = [
    "WEIGHT_PRIORS",
    "Dirichlet",
    "DirichletProcess",
    "WeightPrior",
    "WeightPriorType",
    "weight_prior",
]

WeightPriorType = Literal["dirichlet_process", "dirichlet_distribution"]

_LEAST = float(np.finfo(np.float64).tiny)
# Log weight that stands for all below it: float32 holds it, and no row is so far from the others.
_FLOOR = -1e30


@dataclass(frozen=True)
class WeightPrior(ABC):
    """A prior with one parameter: the larger `value`, the more components share the rows.

    Below, *concentration* is what `concentration` returns, in a shape of the prior's own.
    """

    value: float

    @abstractmethod
    def concentration(self, rows: Array) -> Array:
        """Parameters of the posterior, given the rows (k,) that each component explains."""

    @abstractmethod
    def expected_log(self, concentration: Array) -> Array:
        """(k,) expectation of the log of each weight, in nats."""

    @abstractmethod
    def expected(self, concentration: Array) -> Array:
        """(k,) weights, each above 0, sum 1."""

    @abstractmethod
    def log_norm(self, concentration: Array) -> float:
        """Log of what the density of the posterior is divided by."""


class Dirichlet(WeightPrior):
    """Symmetric Dirichlet distribution of the k weights (Bishop 2006, section 10.2).

    >>> prior = Dirichlet(0.5)
    >>> prior.expected(prior.concentration(np.array([3.0, 0.0]))).tolist()
    [0.875, 0.125]
    """

    def concentration(self, rows: Array) -> Array:
        return self.value + rows  # equation 10.58

    def expected_log(self, concentration: Array) -> Array:
        total = digamma(concentration.sum())
        expected: Array = np.maximum(digamma(concentration) - total, _FLOOR)  # equation 10.66
        return expected

    def expected(self, concentration: Array) -> Array:
        return _weights(concentration)

    def log_norm(self, concentration: Array) -> float:
        return float(gammaln(concentration).sum() - gammaln(concentration.sum()))


class DirichletProcess(WeightPrior):
    """Dirichlet process cut off after k components: a stick broken k times (Blei and Jordan 2006).

    Component j gets a part v_j of what the components before it left; v_j is Beta distributed, and
    the concentration (2, k) holds the two parameters of each Beta.

    >>> prior = DirichletProcess(1.0)
    >>> prior.concentration(np.array([3.0, 2.0, 0.0])).tolist()
    [[4.0, 3.0, 1.0], [3.0, 1.0, 1.0]]
    """

    def concentration(self, rows: Array) -> Array:
        behind = np.append(np.cumsum(rows[:0:-1])[::-1], 0.0)  # explained by later components
        return np.stack([1.0 + rows, self.value + behind])

    def expected_log(self, concentration: Array) -> Array:
        taken, left = digamma(concentration) - digamma(concentration.sum(axis=0))
        with np.errstate(over="ignore"):
            expected: Array = np.maximum(taken + np.append(0.0, np.cumsum(left[:-1])), _FLOOR)
        return expected

    def expected(self, concentration: Array) -> Array:
        taken, left = concentration / concentration.sum(axis=0)
        return _weights(taken * np.append(1.0, np.cumprod(left[:-1])))

    def log_norm(self, concentration: Array) -> float:
        return float(betaln(*concentration).sum())


WEIGHT_PRIORS: dict[str, type[WeightPrior]] = {
    "dirichlet_process": DirichletProcess,
    "dirichlet_distribution": Dirichlet,
}


def weight_prior(name: str, value: float) -> WeightPrior:
    """The prior of that type and concentration; raises `InvalidInput` for others.

    >>> weight_prior("dirichlet_distribution", 0.5)
    Dirichlet(value=0.5)
    """
    check_settings({"weight_concentration_prior_type": name, "weight_concentration_prior": value})
    return WEIGHT_PRIORS[name](float(value))


def _weights(parts: Array) -> Array:
    """Parts as weights that a mixture may have: those too small for a float get the smallest."""
    parts = np.maximum(parts / parts.sum(), _LEAST)
    weights: Array = parts / parts.sum()
    return weights
