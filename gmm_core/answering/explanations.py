"""Explanations: in words, what is unusual about a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gmm_core.answering.density import Density
from gmm_core.arrays import Array

__all__ = ["explanations"]

_FAR = 2.0  # deviations: one value in twenty lies beyond
_MOST = 3  # features named, the farthest first


def explanations(
    model: Density,
    matrix: Array,
    component: NDArray[np.int64],
    score: Array,
    off: Array,
    expected: Array,
) -> list[str]:
    """A sentence for each of n rows.

    Parameters
    ----------
    matrix : (n, d + q) rows in feature space.
    component : (n,) of each row.
    score : (n,) between 0 and 1.
    off, expected : (n, d + q) as `gmm_core.answering.contributions.deviations` gives them.

    A number beyond 2 deviations of what its component has beside the row's other values is told with
    the value that would be usual; a level as rare, with its share in the component. At most three
    features are named, the farthest first.
    """
    size = np.abs(off)
    order = np.argsort(-size, axis=1, kind="stable")[:, :_MOST]
    far = np.take_along_axis(size, order, axis=1) > _FAR
    numeric = len(model.numeric_features)
    some = np.count_nonzero(far, axis=1).tolist()
    unusual: list[bool] = np.greater(score, model.anomaly_above).tolist()
    found = []
    for row, number in enumerate(component.tolist()):
        said, given = _nothing(unusual[row]), ""
        if some[row]:
            named = order[row][far[row]]
            values = matrix[row], off[row], expected[row]
            said = "; ".join(_one(model, *values, j, number) for j in named.tolist())
            # Levels say nothing of one another, nor of numbers, within a component.
            conditional = numeric > 1 and (named < numeric).any()
            given = ", given the other values" if conditional else ""
        found.append(f"component {number}: {said}{given}")
    return found


def _one(model: Density, row: Array, off: Array, expected: Array, j: int, component: int) -> str:
    feature = model.features[j]
    if feature.categorical:
        tables = getattr(model.mixture, "level_probabilities", ())
        table = tables[j - len(model.numeric_features)]
        names, code = feature.level_names, int(row[j])
        usual = names[int(expected[j])]
        return (
            f"{feature.name} {names[code]} has a share of {table[component, code]:.2g} there, "
            f"{usual} {table[component].max():.2g}"
        )
    value, usual = (f"{float(feature.inverse(x)):.4g}" for x in (row[j], expected[j]))
    side = "above" if off[j] > 0 else "below"
    return f"{feature.name} {value} is {abs(off[j]):.3g} sd {side} the usual {usual}"


def _nothing(unusual: bool) -> str:
    if unusual:
        return f"rare as a whole, though no value by itself is beyond {_FAR:g} sd"
    return f"every value within {_FAR:g} sd of the usual"
