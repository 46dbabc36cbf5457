"""Mode-specific normalisation: each value as its distance from the mean of its row's component.

(x - mean) / (4 standard deviations) of the most responsible component, as tabular generative models
use it (Xu et al. 2019, "Modeling Tabular Data using Conditional GAN"). With the component beside
them, the values can be brought back exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture

__all__ = ["denormalise", "normalise", "normalise_by", "widths"]

_DEVIATIONS = 4.0


def normalise(mixture: Mixture, X: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Rows (n, d) to normalised values (n, d) and components (n,)."""
    component = mixture.component(X)
    return normalise_by(mixture, X, component), component


def normalise_by(mixture: Mixture, X: ArrayLike, component: ArrayLike) -> Array:
    """Normalised values (n, d) of rows whose components (n,) are known."""
    index = _components(mixture, component)
    rows = as_rows(X, mixture.n_features)
    values: Array = (rows - mixture.means[index]) / widths(mixture)[index]
    return values


def denormalise(mixture: Mixture, values: ArrayLike, component: ArrayLike) -> Array:
    """Normalised values (n, d) and components (n,) back to rows (n, d)."""
    index = _components(mixture, component)
    rows: Array = (
        mixture.means[index] + as_rows(values, mixture.n_features) * widths(mixture)[index]
    )
    return rows


def widths(mixture: Mixture) -> Array:
    """(k, d) what a distance from a component's mean is divided by: four standard deviations."""
    return _DEVIATIONS * mixture.standard_deviations()


def _components(mixture: Mixture, component: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(component)
    index = (
        given.astype(np.int64) if given.dtype.kind in "iuf" and np.isfinite(given).all() else None
    )
    inside = (
        index is not None
        and (index == given).all()
        and ((index >= 0) & (index < mixture.n_components)).all()
    )
    if index is None or not inside:
        raise InvalidInput(
            "not components of this mixture",
            got=np.unique(given.astype(str))[:5].tolist(),
            bound=f"whole numbers from 0 to {mixture.n_components - 1}",
        )
    return index
