"""Marginals and conditionals: mixtures of some of the features, the others unknown or known.

Both stay mixtures of the same covariance type. Source: Bishop 2006, Pattern Recognition and Machine
Learning, equations 2.81, 2.82 and 2.98, by way of one Cholesky factor: with S = L L', the known
features first, the conditional covariance is the product of L's last diagonal block with its
transpose. Nothing is inverted and nothing is subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from gmm_core.arrays import Array, frozen_array, whole_numbers
from gmm_core.components import Components
from gmm_core.covariances.cholesky import cholesky
from gmm_core.errors import InvalidInput
from gmm_core.fitting.estep import Parameters
from gmm_core.fitting.shares import log_shares_of

__all__ = ["condition", "marginal"]

C = TypeVar("C", bound=Components)


def marginal(mixture: C, features: Sequence[int]) -> C:
    """The mixture of these features alone, in the order given, numbered anew from 0.

    Raises `InvalidInput` for no features, or one that is negative, too large, or there twice.
    """
    index = _checked(features, mixture.n_features)
    covariances = mixture.kind.marginal(mixture.covariances, index)
    return type(mixture)(
        mixture.weights, mixture.means[:, index], covariances, mixture.covariance_type
    )


def condition(mixture: C, given: Mapping[int, float]) -> C:
    """The mixture of the other features, in their order, where those `given` have these values.

    They are numbered anew from 0. Weights are shared out anew by the density of the given values; a
    component whose weight is then too small for a float is left out. Raises `InvalidInput` for
    features as `marginal` does, when no feature is left, or a value is not finite.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput(
            "given features are no mapping",
            got=given,
            bound="a dict of numbers of features and their values",
            remedy="write condition({0: 2.5}) for a first feature of 2.5",
        )
    if not given:
        return mixture
    index = _checked(list(given), mixture.n_features)
    rest = [feature for feature in range(mixture.n_features) if feature not in index]
    if not rest:
        raise InvalidInput(
            "every feature is given, none is left",
            got=sorted(index),
            bound=f"at most {mixture.n_features - 1} of the {mixture.n_features} features",
            remedy="use log_prob for the density of whole rows",
        )
    values = frozen_array(list(given.values()), "the vector of given values", (len(index),))
    known = marginal(mixture, index)
    joint = Parameters(known.weights, known.means, known.covariances).joint(known.kind)
    weights = np.exp(log_shares_of(values, joint))
    alive = np.flatnonzero(weights > 0)
    weights, kept = weights[alive], mixture.picked(alive.tolist())
    if kept.kind.scatter_type == "diag":  # features say nothing of one another within a component
        means, covariances = kept.means[:, rest], kept.kind.marginal(kept.covariances, rest)
    else:
        means, covariances = _regressed(kept, index, rest, values)
    return type(mixture)(weights / weights.sum(), means, covariances, mixture.covariance_type)


def _regressed(
    mixture: Components, index: list[int], rest: list[int], values: Array
) -> tuple[Array, Array]:
    """Conditional means (k, r) and covariances of the features `rest`, in each component."""
    known, d = len(index), mixture.n_features
    stored = mixture.kind.marginal(mixture.covariances, [*index, *rest])
    lower = cholesky(stored.reshape(-1, d, d))  # a single one when the covariance is tied
    white = np.linalg.solve(lower[:, :known, :known], (values - mixture.means[:, index])[..., None])
    means = mixture.means[:, rest] + (lower[:, known:, :known] @ white)[..., 0]
    covariances = lower[:, known:, known:] @ lower[:, known:, known:].swapaxes(1, 2)
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    return means, covariances.reshape(mixture.kind.shape(len(means), len(rest)))


def _checked(features: Sequence[int], d: int) -> list[int]:
    try:
        index = whole_numbers(features)
    except TypeError:
        raise InvalidInput(
            "features are not numbered",
            got=features,
            bound=f"whole numbers from 0 to {d - 1}",
            remedy="give positions; that of a column of a table is list(names).index(name)",
        ) from None
    if not index or len(set(index)) != len(index) or not all(0 <= i < d for i in index):
        raise InvalidInput(
            "features of a mixture", got=index, bound=f"different numbers from 0 to {d - 1}"
        )
    return index
