"""Calibration: of rows, how many a score calls as unusual as it says they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gmm_core.arrays import Array, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.extras import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["observed_shares", "plot_calibration"]

_GRID: Array = np.geomspace(1e-4, 1.0, 161)
_LEAST = 5  # rows: of fewer a share says little


def observed_shares(score: ArrayLike, nominal: ArrayLike) -> Array:
    """Shares of rows with a score of 1 - nominal or more, of the shape of `nominal`.

    Of rows that are as the model says they equal the nominal ones, but for chance. Raises
    `InvalidInput` for no rows, and for scores or shares that are no numbers from 0 to 1.

    >>> observed_shares([0.2, 0.4, 0.6, 0.995], [0.01, 0.5, 1.0]).tolist()
    [0.25, 0.5, 1.0]
    """
    scores, asked = frozen_array(score, "scores", (None,)), np.asarray(nominal, dtype=np.float64)
    for name, values in (("scores", scores), ("nominal shares", asked)):
        if values.size == 0 or not ((values >= 0) & (values <= 1)).all():
            raise InvalidInput(name, got=values[:5].tolist(), bound="one or more from 0 to 1")
    below = np.searchsorted(np.sort(scores), 1 - asked, side="left")
    return np.asarray(1 - below / len(scores))


def plot_calibration(
    scores: Mapping[str, ArrayLike], anomaly_above: float, ax: Axes | None = None
) -> Axes:
    """Draw the observed against the nominal share of unusual rows, a line for each named set of scores.

    The diagonal is perfect; a line above it has more unusual rows than the model expects. Drawn from
    the share of which a set has 5 rows, 0.0001 at least. Raises `MissingExtra` without matplotlib.

    >>> plot_calibration({"rows": np.linspace(0, 1, 500)}, 0.99).get_xlabel()
    'share expected at least as unusual'
    """
    axes = ax or optional("matplotlib.figure", "plots", '"blockmix[plot]"').Figure().subplots()
    axes.plot([_GRID[0], 1], [_GRID[0], 1], color="0.6", linewidth=1, linestyle="--")
    for name, score in scores.items():
        nominal = _GRID[_LEAST / np.size(score) <= _GRID]
        axes.plot(nominal, observed_shares(score, nominal), linewidth=1.8, label=name)
    axes.axvline(1 - anomaly_above, color="0.75", linewidth=1, label="anomalies, left of here")
    axes.set(xscale="log", yscale="log", xlim=(_GRID[0], 1), ylim=(_GRID[0], 1))
    axes.set_xlabel("share expected at least as unusual")
    axes.set_ylabel("share observed")
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    # Opaque: the line of the threshold goes behind the words.
    axes.legend(edgecolor="none", framealpha=1.0, fontsize="small", loc="upper left")
    return axes
