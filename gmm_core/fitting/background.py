"""A uniform background: an extra component that explains what no Gaussian does, such as outliers.

Its density is the same everywhere in the box that holds all rows, so that one row far out costs a
bounded number of nats, and no Gaussian is drawn to it (Banfield and Raftery 1993, section 4; Fraley
and Raftery 1998, section 5). The share of the rows that it explains is learnt with the rest.

Outliers must not be what EM starts from either: seeds come from the central part of the rows, and
rows are measured by it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.fitting.estep import NO_BACKGROUND, Parameters, Statistics
from gmm_core.fitting.rows import Rows

__all__ = ["NOTHING_BEHIND", "Background", "background_of", "start_share"]

_START = 0.01
_MOST = 0.5
_LOW, _MIDDLE, _HIGH = 0.05, 0.5, 0.95
_NORMAL_RANGE = 3.29  # deviations between the 5 % and 95 % quantiles of a Gaussian
_REACH = 1.0  # how much farther than these quantiles seeds may lie, in ranges between them
_SAMPLE = 65_536  # rows that quantiles are taken of
_NARROWEST = float(np.sqrt(12.0))  # the range of a uniform feature of deviation 1


@dataclass(frozen=True)
class Background:
    """A uniform density, in standardised space.

    Parameters
    ----------
    share : of the rows that it explains when EM starts; 0 for no background at all.
    log_widths : (d,) logs of the box's sides.
    """

    share: float
    log_widths: Array

    @property
    def log_density(self) -> float:
        """The same everywhere."""
        return -float(self.log_widths.sum())

    def behind(self, parameters: Parameters) -> Parameters:
        """Parameters with this background at its start share, unless they have one already."""
        if self.share == 0 or parameters.background > NO_BACKGROUND:
            return parameters
        return self._at(self.share, parameters)

    def maximised(self, parameters: Parameters, statistics: Statistics) -> Parameters:
        """The M-step of the share, at most one half, beside that of the components.

        The likelihood's maximum over shares up to the bound, so EM stays monotone.
        """
        if self.share == 0:
            return parameters
        return self._at(min(statistics.background / statistics.total, _MOST), parameters)

    def _at(self, share: float, parameters: Parameters) -> Parameters:
        level = float(np.log(share)) + self.log_density if share > 0 else NO_BACKGROUND
        weights = parameters.weights / parameters.weights.sum() * (1 - share)
        return replace(parameters, weights=weights, background=level)


NOTHING_BEHIND = Background(0.0, np.zeros(0))


def start_share(background: bool | float) -> float:
    """The share that `background` asks EM to start from: 0 for none, 0.01 for `True`.

    Raises `InvalidInput` for what is no number from 0 to 0.5.

    >>> start_share(False), start_share(True), start_share(0.1)
    (0.0, 0.01, 0.1)
    """
    if isinstance(background, (bool, np.bool_)):
        return _START if background else 0.0
    if not isinstance(background, (int, float, np.number)) or not 0 <= background <= _MOST:
        raise InvalidInput(
            "background", got=background, bound=f"True, False, or a share from 0 to {_MOST}"
        )
    return float(background)


def background_of(
    rows: Rows, added: Array, share: float, *, isotropic: bool
) -> tuple[Rows, Array, Background]:
    """Rows ready for a background that starts at this share, the added variance (d,), and it.

    Its density is that of the box that holds the rows. A side is at least as long as that of a
    uniform feature of deviation 1: a feature all of whose values are equal has no density otherwise.
    With a share of 0 nothing changes.
    """
    if share == 0:
        return rows, added, NOTHING_BEHIND
    fenced = _fenced(rows, isotropic=isotropic)
    # As `min` and `max`, but NaN gives way to any number.
    low, high = (f.reduce(rows.values, axis=0).astype(np.float64) for f in (np.fmin, np.fmax))
    widths = np.maximum((high - low) / fenced.scale, _NARROWEST)
    added = added * np.square(rows.scale / fenced.scale)
    return fenced, added, Background(share, np.log(widths))


def _fenced(rows: Rows, *, isotropic: bool) -> Rows:
    """Rows measured by their central part, with a fence around it.

    Shift and scale become the median and the range from the 5 % to the 95 % quantile, in Gaussian
    deviations. The fence stands one such range outside these quantiles, in every feature. Up to 5 %
    outliers on either side move none of this far; groups of rows that are fewer are outliers.
    """
    some = rows
    if len(rows) > _SAMPLE:
        some = rows.sample(_SAMPLE, np.random.default_rng(0))
    low, middle, high = _quantiles(some)
    spread = np.where(high > low, high - low, _NORMAL_RANGE * rows.scale)
    measured = rows.standardised(middle, spread / _NORMAL_RANGE, isotropic=isotropic)
    around = (low - _REACH * spread, high + _REACH * spread)
    below, above = ((edge - measured.shift) / measured.scale for edge in around)
    return replace(measured, fence=(below, above))


def _quantiles(rows: Rows) -> Array:
    """(3, d) quantiles of the values that are there; those of the whole where a sample has none."""
    result = np.tile(rows.shift, (3, 1))
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    for feature in range(rows.n_features):
        values = rows.values[:, feature].astype(np.float64)
        there = ~np.isnan(values)
        if not there.any():
            continue
        order = np.argsort(values[there], kind="stable")
        cumulated = np.cumsum(weight[there][order])
        at = np.searchsorted(cumulated, np.array([_LOW, _MIDDLE, _HIGH]) * cumulated[-1])
        result[:, feature] = values[there][order][np.minimum(at, len(order) - 1)]
    return result
