"""Criteria of how many components to take: the smaller the value, the better.

With L the log-likelihood of all rows in nats, p the free parameters and n the total weight of the
rows:

    aic       2 p - 2 L                    Akaike 1974
    bic       p log n - 2 L                Schwarz 1978
    icl       bic + 2 entropy              Biernacki, Celeux and Govaert 2000, section 3: the entropy
                                           of the rows' responsibilities, so groups must not overlap
    heldout   minus the mean log-density of rows that a fit has not seen: K-fold cross-validation
              (Smyth 2000)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array, Missing
from gmm_core.em import FitResult
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part

__all__ = ["CRITERIA", "Criterion", "Data", "Fitter", "free_parameters"]

Criterion = Literal["bic", "aic", "icl", "heldout"]
# Fits k components to rows (n, d) with weights (n,), or none.
Fitter = Callable[[int, NDArray[Any], Array | None], FitResult]

_CHUNK = 8_192


@dataclass(frozen=True, eq=False)
class Data:
    """What all candidates are fitted to; `fold` (n,) says when each row is held out."""

    rows: NDArray[Any]
    weight: Array
    weighted: bool
    fitter: Fitter
    missing: Missing
    background: bool
    fold: NDArray[np.int64]

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return float(self.weight.sum())

    def fit(self, k: int, among: Any = slice(None)) -> FitResult:
        """A fit of k components to the rows `among` all."""
        return self.fitter(k, self.rows[among], self.weight[among] if self.weighted else None)

    def chunks(self, among: Any = slice(None)) -> Iterator[tuple[NDArray[Any], Array]]:
        """Rows and weights, some at a time."""
        index = np.arange(len(self.rows))[among]
        for first in range(0, len(index), _CHUNK):
            part = index[first : first + _CHUNK]
            yield self.rows[part], self.weight[part]


def free_parameters(mixture: AnyMixture) -> int:
    """The numbers that a fit is free to choose: weights less one, means and covariances, and of
    levels the probabilities but one of each table's row.

    >>> from gmm_core import Mixture
    >>> free_parameters(Mixture([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], "diag"))
    9
    """
    numeric = numeric_part(mixture)
    k, d = numeric.n_components, numeric.n_features
    sizes = mixture.sizes if isinstance(mixture, MixedMixture) else ()
    return numeric.kind.free_parameters(k, d, sizes)


def _aic(result: FitResult, data: Data) -> float:
    return 2 * _parameters(result, data) - 2 * data.total * result.log_likelihood


def _bic(result: FitResult, data: Data) -> float:
    penalty = _parameters(result, data) * float(np.log(data.total))
    return penalty - 2 * data.total * result.log_likelihood


def _icl(result: FitResult, data: Data) -> float:
    entropy = 0.0
    for rows, weight in data.chunks():
        logs = result.mixture.log_responsibilities(rows, missing=data.missing)
        entropy -= float(weight @ (np.exp(logs) * logs).sum(axis=1))
    return _bic(result, data) + 2 * entropy


def _heldout(result: FitResult, data: Data) -> float:
    k, total = result.mixture.n_components, 0.0
    for fold in range(int(data.fold.max()) + 1):
        held = data.fold == fold
        mixture = data.fit(k, ~held).mixture
        for rows, weight in data.chunks(held):
            total += float(weight @ mixture.log_prob(rows, missing=data.missing))
    return -total / data.total


def _parameters(result: FitResult, data: Data) -> int:
    return free_parameters(result.mixture) + data.background


CRITERIA: dict[Criterion, Callable[[FitResult, Data], float]] = {
    "bic": _bic,
    "aic": _aic,
    "icl": _icl,
    "heldout": _heldout,
}
