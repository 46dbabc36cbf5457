"""Whether some of the rows could be draws of a mixture: the energy test, in any number of features.

What cells show of single columns they cannot show of features together. A thousand rows drawn evenly
(`gmm_core.spark.sampling.even_sample`, one Spark job) against as many draws of the mixture can.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, as_rows
from gmm_core.covariances.cholesky import inverse_cholesky
from gmm_core.errors import InvalidInput
from gmm_core.invariants import Law
from gmm_core.mixture import Mixture
from gmm_core.settings import generator

__all__ = ["EnergyTest", "energy_test", "sample_law"]

_PERMUTATIONS = 999
_MOST = 4_000  # rows: their distances to one another are kept, 128 MB for them and as many draws


class EnergyTest(NamedTuple):
    """What an energy test found.

    Parameters
    ----------
    distance : 2 E|X - Y| - E|X - X'| - E|Y - Y'| of the two samples, 0 or more.
    p_value : share of random divisions of both samples together with a distance as large.
    """

    distance: float
    p_value: float


def energy_test(x: ArrayLike, y: ArrayLike, *, seed: int = 0) -> EnergyTest:
    """Whether rows `x` (n, d) and `y` (m, d) are draws of one distribution, whatever it is.

    Lengths are as the rows have them: bring features to like units first. Raises `InvalidInput` for
    fewer than two rows in either, more than 4,000, or other than equal widths.

    Source: Szekely and Rizzo 2013, "Energy statistics", sections 2 and 8; 999 permutations.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(2, 200, 3))
    >>> energy_test(x, y).p_value > 0.05, energy_test(x, y + 0.5).p_value
    (True, 0.001)
    """
    one = as_rows(x).astype(np.float64, copy=False)
    other = as_rows(y, one.shape[1]).astype(np.float64, copy=False)
    for rows in (one, other):
        if not 2 <= len(rows) <= _MOST:
            raise InvalidInput("rows of an energy test", got=len(rows), bound=f"2 to {_MOST}")
    rng, n, m = generator(seed), len(one), len(other)
    between = _distances(np.concatenate([one, other]))
    # A division is a column: 1 / n for rows of the first part, -1 / m for those of the second. Its
    # distance is minus the quadratic form of the column.
    labels = np.repeat([1 / n, -1 / m], [n, m])
    order = np.argsort(rng.random((_PERMUTATIONS, n + m)), axis=1)
    columns = np.concatenate([labels[None], labels[order]]).T
    found = -np.einsum("ip,ip->p", columns, between @ columns)
    rounding = 1e-12 * float(between.max())
    as_large = int((found[1:] >= found[0] - rounding).sum())
    return EnergyTest(max(float(found[0]), 0.0), (1 + as_large) / (1 + _PERMUTATIONS))


def sample_law(rows: ArrayLike, mixture: Mixture, *, least: float = 0.002, seed: int = 0) -> Law:
    """That a sample (n, d) of the rows in feature space could be as many draws of the mixture.

    Lengths are measured in the mixture's own covariance, so units do not matter. `least` is the smallest
    p-value allowed: so often the law is broken by chance, when rows and mixture agree exactly. Raises as
    `energy_test`.
    """
    sample = as_rows(rows, mixture.n_features).astype(np.float64, copy=False)
    draws = mixture.sample(min(len(sample), _MOST), seed)
    centre, whitener = mixture.mean(), inverse_cholesky(mixture.covariance()[None])[0]
    one, other = ((part - centre) @ whitener.T for part in (sample, draws))
    says = "A sample of the rows could be draws of the mixture (p-value of the energy test)."
    return Law("two_sample", says, energy_test(one, other, seed=seed).p_value, lower=least)


def _distances(rows: Array) -> Array:
    """(n, n) Euclidean distances; squares are summed feature by feature, which cancels nothing."""
    squares = np.zeros((len(rows), len(rows)))
    for values in rows.T:
        squares += np.square(values[:, None] - values[None, :])
    return np.sqrt(squares)
