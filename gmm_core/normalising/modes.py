"""Modes: the components of one column's mixture, and the choice of one for each value.

Mode-specific normalisation (Xu et al. 2019, "Modeling Tabular Data using Conditional GAN", section
4.2): a value becomes the number of a mode and (x - mean) / (4 standard deviations) of that mode.
Nothing is clipped, so values come back, outliers included.

A value's most responsible mode is looked up: two log-densities meet where a quadratic is 0, so each
mode owns a few stretches of the line. That is as exact as the densities are, takes no exponential,
and every engine that compares with the same edges gives the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_numbers
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.normalising.distances import widths
from gmm_core.normalising.mode_table import ShareTable

__all__ = ["MISSING", "Modes"]

Numbers = NDArray[np.int64]

MISSING = -1  # the mode of a value that is not there


@dataclass(frozen=True)
class Modes:
    """The modes of one column: a mixture of one feature, asked about values one by one.

    Raises `InvalidInput` for a mixture of more features.

    >>> modes = Modes(Mixture([0.5, 0.5], [[0.0], [10.0]], [1.0, 1.0], "spherical"))
    >>> values, mode = modes.normalise([-2.0, 12.0, 1e6, float("nan")])
    >>> values.tolist(), mode.tolist()
    ([-0.5, 0.5, 249997.5, nan], [0, 1, 1, -1])
    >>> modes.denormalise(values, mode).tolist()
    [-2.0, 12.0, 1000000.0, nan]
    """

    mixture: Mixture

    def __post_init__(self) -> None:
        if self.mixture.n_features != 1:
            raise InvalidInput(
                "modes are those of one column",
                got=f"a mixture of {self.mixture.n_features} features",
                bound="1 feature",
                remedy="take a marginal first: mixture.marginal([0])",
            )

    @property
    def n_modes(self) -> int:
        """k"""
        return self.mixture.n_components

    @cached_property
    def means(self) -> Array:
        """(k,)"""
        return self.mixture.means[:, 0]

    @cached_property
    def widths(self) -> Array:
        """(k,) four standard deviations: what a distance from the mean is divided by."""
        return widths(self.mixture)[:, 0]

    @cached_property
    def whiteners(self) -> Array:
        """(k,) reciprocal standard deviations."""
        return np.asarray(self.mixture.whiteners).reshape(-1)

    @cached_property
    def offsets(self) -> Array:
        """(k,) logs of weight over standard deviation, less the largest: a mode's share at its mean."""
        offsets = np.log(self.mixture.weights * self.whiteners)
        return np.asarray(offsets - offsets.max())

    @cached_property
    def table(self) -> ShareTable:
        """What modes are drawn by."""
        return ShareTable.of(self.mixture)

    @cached_property
    def edges(self) -> Array:
        """(m,) increasing; between two of them, and beyond the ends, one mode is most responsible."""
        return self._stretches[0]

    @cached_property
    def owners(self) -> Numbers:
        """(m + 1,) the mode of each stretch: `owners[i]` below `edges[i]`, at it `owners[i + 1]`."""
        return self._stretches[1]

    def likeliest(self, x: ArrayLike) -> Numbers:
        """(n,) the most responsible mode of each value (n,); -1 for NaN.

        >>> Modes(Mixture([0.9, 0.1], [[0.0], [0.0]], [[1.0], [9.0]], "diag")).edges.round(2)
        array([-2.72,  2.72])
        """
        values = _column(x)
        owners = self.owners[np.searchsorted(self.edges, values, side="right")]
        return np.where(np.isnan(values), MISSING, owners)

    def drawn(self, x: ArrayLike, bits: NDArray[np.uint64]) -> Numbers:
        """(n,) modes drawn by their responsibilities, given a hash for each value (n,); -1 for NaN.

        The hashes are those of `gmm_core.normalising.hashing.hash_columns`. Chances are responsibilities to
        about 1e-3, see `ShareTable`.
        """
        values = _column(x)
        if np.shape(bits) != values.shape or np.asarray(bits).dtype != np.uint64:
            raise InvalidInput("bits", got=bits, bound=f"{len(values)} hashes, uint64")
        there = ~np.isnan(values)
        mode = self.table.drawn(np.where(there, values, 0.0), bits)
        return np.where(there, mode, MISSING)

    def normalise(
        self, x: ArrayLike, bits: NDArray[np.uint64] | None = None
    ) -> tuple[Array, Numbers]:
        """Normalised values (n,) and modes (n,) of values (n,): the likeliest, or drawn by hashes.

        NaN stays NaN and has mode -1. An infinite value stays infinite.
        """
        mode = self.likeliest(x) if bits is None else self.drawn(x, bits)
        values: Array = (_column(x) - self.means[mode]) / self.widths[mode]
        return values, mode

    def denormalise(self, values: ArrayLike, mode: ArrayLike) -> Array:
        """Values (n,) of normalised values (n,) and modes (n,); NaN where the mode is -1.

        Off by rounding alone: at most 4e-16 of the value and twice its mode's mean together.
        Raises `InvalidInput` for modes that are none.
        """
        given = np.asarray(mode, dtype=np.float64)
        index = np.where(np.isfinite(given), given, MISSING - 1).astype(np.int64)
        wrong = (index != given) | (index < MISSING) | (index >= self.n_modes)
        if wrong.any():
            raise InvalidInput(
                "not modes of this column",
                got=np.unique(given[wrong])[:5].tolist(),
                bound=f"whole numbers from 0 to {self.n_modes - 1}, or -1 where nothing was",
            )
        x = self.means[index] + _column(values) * self.widths[index]
        return np.where(index == MISSING, np.nan, x)

    @cached_property
    def _stretches(self) -> tuple[Array, Numbers]:
        """Edges and owners: between neighbouring meeting points of any two modes nothing changes."""
        points = self._meetings()
        if not len(points):
            return np.empty(0), np.array([int(self.offsets.argmax())])
        reach = max(float(np.ptp(points)), float(self.widths.max()))
        inner = points[:-1] + 0.5 * np.diff(points)
        probes = np.concatenate([[points[0] - reach], inner, [points[-1] + reach]])
        owners = self.mixture.component(probes[:, None])
        changes = np.flatnonzero(np.diff(owners))
        return points[changes], owners[np.append(changes, len(owners) - 1)]

    def _meetings(self) -> Array:
        """Where two modes have the same share, increasing; in units of the narrower, from its mean.

        -t^2 / 2 + c_i = -((t - delta) / ratio)^2 / 2 + c_j, solved so that nothing cancels.
        """
        i, j = np.triu_indices(self.n_modes, 1)
        narrow = self.whiteners[i] >= self.whiteners[j]
        i, j = np.where(narrow, i, j), np.where(narrow, j, i)
        inverse = self.whiteners[j] / self.whiteners[i]  # 1 / ratio, 1 at most
        delta = (self.means[j] - self.means[i]) * self.whiteners[i]
        with np.errstate(all="ignore"):
            a = (1 - inverse) * (1 + inverse)
            b = 2 * delta * inverse * inverse
            c = -np.square(delta * inverse) - 2 * (self.offsets[i] - self.offsets[j])
            q = -0.5 * (b + np.copysign(np.sqrt(b * b - 4 * a * c), b))
            t = np.stack([q / a, c / q])
            points = self.means[i] + t / self.whiteners[i]
        return np.unique(points[np.isfinite(points)])


def _column(x: ArrayLike) -> Array:
    values: Array = as_numbers(x, "values of a column").astype(np.float64)
    if values.ndim != 1:
        raise InvalidInput("values of a column", got=values.shape, bound="shape (rows,)")
    return values
