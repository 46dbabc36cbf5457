"""Mixture: weights, means and covariances as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, Missing, as_rows, as_weights
from gmm_core.components import Components
from gmm_core.conditioning import condition, marginal
from gmm_core.covariances.cholesky import cholesky
from gmm_core.evaluation import Evaluation, in_chunks
from gmm_core.fitting.estep import Joint, Parameters
from gmm_core.fitting.missing import observed_log_joint
from gmm_core.quantiles import cdf, ppf
from gmm_core.settings import check_settings, generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Mixture"]


class Mixture(Components):
    """A Gaussian mixture of k components in d features. Equal by content, hashable, read-only.

    Parameters
    ----------
    weights : (k,) above 0, sum 1.
    means : (k, d)
    covariances : positive definite: (k, d, d) for "full", (d, d) for "tied", (k, d) variances for
        "diag", (k,) variances for "spherical".
    covariance_type : "full", "tied", "diag" or "spherical".

    Raises
    ------
    InvalidInput : a shape, a weight or a covariance is wrong; the message says which.

    >>> Mixture([0.25, 0.75], [[0.0], [4.0]], [[1.0], [1.0]], "diag")
    Mixture(2 components, 1 feature, diag, 52888302)
      0  weight 0.25  mean 0  sd 1
      1  weight 0.75  mean 4  sd 1
    """

    def log_joint(self, X: ArrayLike, *, missing: Missing = "error") -> Array:
        """(n, k) log of weight times density: what every answer about rows is made of.

        Rows X (n, d): arrays, or tables of pandas, polars or Arrow. Here and below, rows of another
        width or with values that are not finite numbers raise `InvalidInput`; but with
        missing="marginalise", NaN is a missing value and the answer is about the others.

        >>> Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical").log_joint([[2.0]]).round(2)
        array([[-3.61, -3.61]])
        """
        return in_chunks(as_rows(X, self.n_features, missing), self._log_joint)

    def log_prob(self, X: ArrayLike, *, missing: Missing = "error") -> Array:
        """(n,) log-density of rows `X` (n, d), in nats; finite for every finite row.

        Of a row that lacks values, it is that of the others: per unit of these alone.

        >>> Mixture([1.0], [[0.0]], [1.0], "spherical").log_prob([[0.0], [1e9]]).round(3).tolist()
        [-0.919, -5e+17]
        """
        return self._asked(as_rows(X, self.n_features, missing)).log_prob()

    def log_responsibilities(self, X: ArrayLike, *, missing: Missing = "error") -> Array:
        """(n, k) log of the probability that a component made the row.

        Far out the nearest component, by its own deviations, has all of the row; beyond 1e308
        deviations, where distances are no numbers, it need not be the nearest.

        >>> pair = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> pair.log_responsibilities([[102.0]]).tolist()
        [[-400.0, 0.0]]
        """
        return self._asked(as_rows(X, self.n_features, missing)).log_shares()

    def responsibilities(self, X: ArrayLike, *, missing: Missing = "error") -> Array:
        """(n, k) probability that a component made the row; rows sum to 1.

        >>> pair = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> pair.responsibilities([[2.0]]).tolist()
        [[0.5, 0.5]]
        """
        return np.exp(self.log_responsibilities(X, missing=missing))

    def component(self, X: ArrayLike, *, missing: Missing = "error") -> NDArray[np.int64]:
        """(n,) index of the most responsible component.

        >>> pair = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> pair.component([[0.0], [5.0]]).tolist()
        [0, 1]
        """
        return self._asked(as_rows(X, self.n_features, missing)).component()

    def density_and_component(
        self, X: ArrayLike, *, missing: Missing = "error"
    ) -> tuple[Array, NDArray[np.int64]]:
        """`log_prob` and `component` of rows `X` (n, d), for little more than one of them costs.

        >>> pair = Mixture([0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0], "spherical")
        >>> density, component = pair.density_and_component([[0.0], [4.0]])
        >>> density.round(2).tolist(), component.tolist()
        ([-1.61, -1.61], [0, 1])
        """
        return self._asked(as_rows(X, self.n_features, missing)).density_and_component()

    def effective_sample_sizes(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> Array:
        """(k,) how many equal rows say as much of a component as these do: Kish 1965, n_eff.

        (sum r)^2 / sum r^2 over r = weight * responsibility (n,); 0 for a component that no row
        belongs to. Few, compared with the component's parameters, is too few to trust it.

        >>> pair = Mixture([0.5, 0.5], [[0.0], [40.0]], [1.0, 1.0], "spherical")
        >>> pair.effective_sample_sizes([[0.0], [0.1], [40.0]], [1.0, 1.0, 7.0]).tolist()
        [2.0, 1.0]
        """
        shares = self.responsibilities(X)
        weight = as_weights(sample_weight, len(shares))
        shares = shares if weight is None else shares * weight[:, None]
        # As parts of the largest: squares of responsibilities such as 1e-200 would be zero.
        largest = shares.max(axis=0, initial=0.0)
        parts = shares / np.where(largest > 0, largest, 1.0)
        squares = np.square(parts).sum(axis=0)
        sizes: Array = np.square(parts.sum(axis=0)) / np.where(squares > 0, squares, 1.0)
        return sizes

    def mean(self) -> Array:
        """(d,) mean of the whole mixture.

        >>> Mixture([0.25, 0.75], [[0.0], [4.0]], [1.0, 1.0], "spherical").mean().tolist()
        [3.0]
        """
        # About the first mean: a common offset of all means then costs no digits.
        origin = self.means[0]
        mean: Array = origin + self.weights @ (self.means - origin)
        return mean

    def covariance(self) -> Array:
        """(d, d) covariance of the whole mixture: within components plus between their means.

        >>> Mixture([0.25, 0.75], [[0.0], [4.0]], [1.0, 1.0], "spherical").covariance().tolist()
        [[4.0]]
        """
        origin = self.means[0]
        spread = self.means - origin
        spread = (spread - self.weights @ spread) * np.sqrt(self.weights)[:, None]
        within = np.einsum("k,kij->ij", self.weights, self.full_covariances())
        covariance: Array = within + spread.T @ spread
        return covariance

    def marginal(self, features: Sequence[int]) -> Mixture:
        """The mixture of some features alone, by number, in the order given, numbered anew from 0.

        What they are called, `plot(names=...)` is told, or takes from a table of these columns.
        Raises `InvalidInput` for no features, or one that is negative, too large, or there twice.

        >>> Mixture([1.0], [[1.0, 2.0]], [[3.0, 4.0]], "diag").marginal([1]).means.tolist()
        [[2.0]]
        """
        return marginal(self, features)

    def condition(self, features: Mapping[int, float]) -> Mixture:
        """The mixture of the other features, given the values of some: {number: value}.

        The others are numbered anew from 0, in their order; `plot(names=...)` says what they are.
        Regression, and filling in what is missing (Bishop 2006, equations 2.81 and 2.82). Weights
        are shared out anew by how likely each component makes the values, in log space; a component
        whose weight is then too small for a float (about 1e-323) is left out. Raises `InvalidInput`
        as `marginal`, for a value that is not finite, and when no feature is left.

        >>> Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.5, 1.0]]]).condition({0: 2.0})
        Mixture(1 component, 1 feature, full, 942d6624)
          0  weight 1  mean 1  sd 0.866
        """
        return condition(self, features)

    def cdf(self, x: ArrayLike) -> Array:
        """Probability of a value at most `x`, of the shape of `x`; one feature only.

        Raises `InvalidInput` for more features, for NaN and for text.

        >>> Mixture([1.0], [[0.0]], [1.0], "spherical").cdf([-38.0, 0.0, 1.96]).round(3).tolist()
        [0.0, 0.5, 0.975]
        """
        return cdf(self, x)

    def ppf(self, q: ArrayLike) -> Array:
        """The value that a row is at most with probability `q`: the inverse of `cdf`.

        Of the shape of `q`, to about 1e-12 standard deviations, far into both tails; -inf for 0 and
        inf for 1. Raises `InvalidInput` for more than one feature, or `q` outside [0, 1].

        >>> Mixture([1.0], [[0.0]], [1.0], "spherical").ppf([0.0, 1e-300, 0.5]).round(2).tolist()
        [-inf, -37.05, 0.0]
        """
        return ppf(self, q)

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> Array:
        """(n, d) rows drawn from the mixture, in random order; one seed, one outcome.

        Raises `InvalidInput` for what is no number of rows, or no seed.

        >>> pair = Mixture([0.5, 0.5], [[1.0], [9.0]], [1e-6, 1e-6], "spherical")
        >>> pair.sample(3, seed=1).round().tolist()
        [[9.0], [1.0], [1.0]]
        """
        check_settings({"n": n})
        rng = generator(seed)
        counts = rng.multinomial(n, self.weights / self.weights.sum())
        rows = rng.standard_normal((n, self.n_features))
        stops = np.cumsum(counts)
        for index, lower in enumerate(cholesky(self.full_covariances())):
            part = slice(stops[index] - counts[index], stops[index])
            rows[part] = self.means[index] + rows[part] @ lower.T
        rng.shuffle(rows)
        return rows

    def plot(
        self,
        X: ArrayLike | None = None,
        *,
        features: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
        ax: Axes | None = None,
        color: str | None = None,
        seed: int = 0,
    ) -> Axes:
        """Draw one feature as a density curve, two as ellipses, over rows `X` (n, d) when given.

        Parameters
        ----------
        features : numbers of the one or two features to draw; needed when d is above 2.
        names : of the features drawn, for the axes; when left out, those of the columns of `X` where
            it is a table.
        ax : where to draw; a new figure when left out.
        color : of the mixture; any that matplotlib knows.
        seed : decides which rows are drawn, where there are more than 5,000.

        Raises
        ------
        MissingExtra : matplotlib is not installed.
        InvalidInput : the features or rows are wrong.

        >>> Mixture([1.0], [[0.0]], [1.0], "spherical").plot(names=["delay"]).get_xlabel()
        'delay'
        """
        from gmm_core.plotting import plot

        return plot(self, X, features=features, names=names, ax=ax, color=color, seed=seed)

    @cached_property
    def _joint(self) -> Joint:
        return Parameters(self.weights, self.means, self.covariances).joint(self.kind)

    def _asked(self, rows: NDArray[Any]) -> Evaluation:
        """What answers about checked rows (n, d) come from."""
        return Evaluation(rows, self._joint, self._log_joint)

    def _log_joint(self, rows: Array) -> Array:
        """(m, k) for a chunk of checked rows (m, d)."""
        if np.isnan(rows.min(initial=0.0)):
            return observed_log_joint(rows, self._joint, self.kind)
        joint: Array = self.kind.log_density(rows, self.means, self.whiteners) + np.log(
            self.weights
        )
        return joint
