"""Contributions: how far each value of a row lies from what its component and its other values suggest.

With P the inverse of a component's covariance S, a feature given all others is Gaussian, with variance
1 / P_ii and mean x_i - (P (x - mu))_i / P_ii (Bishop 2006, Pattern Recognition and Machine Learning,
equations 2.75 and 2.96 to 2.97). In its own deviations the value lies (P (x - mu))_i / sqrt(P_ii) off:
that is signed, and no unit of a feature changes it. P = W' W with the whitener W, so nothing is inverted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows
from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.mixture import Mixture

__all__ = ["conditional_deviations", "deviations", "level_deviations"]


def deviations(mixture: AnyMixture, X: ArrayLike, component: ArrayLike) -> tuple[Array, Array]:
    """Deviations and expected values of every feature of rows `X` (n, d + q) with components (n,).

    The numeric features (n, d) as `conditional_deviations`, then the q categorical ones as
    `level_deviations`; what is expected of a categorical one is the code of its likeliest level.
    """
    index = _checked(mixture, component)
    rows = as_rows(X, mixture.n_features).astype(np.float64, copy=False)
    if not isinstance(mixture, MixedMixture):
        return conditional_deviations(mixture, rows, index)
    d = mixture.numeric.n_features
    off, expected = conditional_deviations(mixture.numeric, rows[:, :d], index)
    levels = level_deviations(mixture, rows[:, d:], index)
    likeliest = [table[index].argmax(axis=1) for table in mixture.level_probabilities]
    return np.hstack([off, levels]), np.column_stack([expected, *likeliest])


def conditional_deviations(
    mixture: Mixture, X: ArrayLike, component: ArrayLike
) -> tuple[Array, Array]:
    """Deviations (n, d) and expected values (n, d) of rows `X` (n, d) with components (n,).

    Each value given the row's other values, in the component: how many of its conditional standard
    deviations it lies above (below 0: below) its conditional mean, and that mean. Rows of one Gaussian
    have standard normal deviations in each feature. Raises `InvalidInput` for rows of another width
    and for numbers of components that are not there.

    >>> tied = Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.8], [0.8, 1.0]]])
    >>> off, expected = conditional_deviations(tied, [[2.0, 2.0], [2.0, -2.0]], [0, 0])
    >>> off.round(2).tolist(), expected.round(2).tolist()
    ([[0.67, 0.67], [6.0, -6.0]], [[1.6, 1.6], [-1.6, 1.6]])
    """
    index = _checked(mixture, component)
    rows = as_rows(X, mixture.n_features).astype(np.float64, copy=False)
    difference = rows - mixture.means[index]
    if mixture.kind.scatter_type == "diag":
        return difference * mixture.whiteners[index], mixture.means[index]
    off, expected = np.empty_like(rows), np.empty_like(rows)
    for number in np.unique(index):
        own, whitener = index == number, mixture.whiteners[number]
        roots = np.sqrt(np.square(whitener).sum(axis=0))  # of P's diagonal
        off[own] = difference[own] @ whitener.T @ (whitener / roots)
        expected[own] = rows[own] - off[own] / roots
    return off, expected


def level_deviations(mixture: MixedMixture, codes: Array, component: NDArray[np.int64]) -> Array:
    """(n, q) how unusual each level is in the row's component, on the scale of deviations.

    sqrt(2 log(p_max / p)): as far as a Gaussian falls from its top by the same factor; 0 for the
    likeliest level, and never below. Features being independent given the component, the others
    say nothing more. Codes (n, q) and components (n,) as in the mixture.

    >>> same = Mixture([1.0], [[0.0]], [1.0], "spherical")
    >>> rare = MixedMixture(same, [[[0.989, 0.011]]])
    >>> level_deviations(rare, np.array([[0.0], [1.0]]), np.array([0, 0])).round(1).tolist()
    [[0.0], [3.0]]
    """
    off = np.empty(codes.shape)
    for feature, table in enumerate(mixture.level_probabilities):
        own = table[component]
        found = own[np.arange(len(own)), codes[:, feature].astype(np.int64)]
        off[:, feature] = np.sqrt(2 * np.log(own.max(axis=1) / found))
    return off


def _checked(mixture: AnyMixture, component: ArrayLike) -> NDArray[np.int64]:
    index = np.asarray(component)
    k = numeric_part(mixture).n_components
    if index.ndim != 1 or (len(index) and not (np.isin(index, np.arange(k)).all())):
        raise InvalidInput(
            "components of the rows",
            got=np.unique(index.astype(str))[:5].tolist(),
            bound=f"one whole number from 0 to {k - 1} for each row",
        )
    return index.astype(np.int64)
