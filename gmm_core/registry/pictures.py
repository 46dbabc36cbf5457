"""Pictures of a model card: the density of each feature, and the calibration of the score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gmm_core.answering.calibration import plot_calibration
from gmm_core.arrays import Array
from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture, numeric_part
from gmm_core.model import DensityModel
from gmm_core.plotting import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CALIBRATION", "DENSITIES", "save_pictures"]

DENSITIES, CALIBRATION = "densities.png", "calibration.png"

_FRESH = 20_000  # rows drawn to look at the calibration
_SEED = 1  # not that of the tail curve: rows which that has not seen
_COLUMNS = 3
_MOST_TICKS = 6
_MOST_LEVELS = 10


def save_pictures(model: DensityModel, folder: Path) -> list[Path]:
    """Write both pictures into a folder that is there; returns their paths."""
    drawn = {DENSITIES: _densities(model), CALIBRATION: _calibration(model)}
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=90)
    return [folder / name for name in drawn]


def _figure(width: float, height: float) -> Figure:
    # Not pyplot's: that keeps figures, and belongs to whoever runs the process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _densities(model: DensityModel) -> Figure:
    columns = 2 if len(model.features) == 4 else min(_COLUMNS, len(model.features))  # no holes
    lines = -(-len(model.features) // columns)
    figure = _figure(3.6 * columns, 2.7 * lines)
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for index, feature in enumerate(model.features):
        if feature.categorical:
            _draw_levels(axes[index], model, index)
        else:
            plot(
                numeric_part(model.mixture), features=[index], names=[feature.name], ax=axes[index]
            )
            _tick_in_source_units(axes[index], feature)
            axes[index].set(ylabel="", yticks=[])
            axes[index].get_legend().set_visible(index == 0)
    axes[0].set_ylim(top=1.3 * axes[0].get_ylim()[1])  # room for the legend
    for empty in axes[len(model.features) :]:
        empty.set_axis_off()
    figure.subplots_adjust(0.04, 0.2 / lines, 0.98, 0.97, wspace=0.3, hspace=0.35)
    return figure


def _draw_levels(ax: Axes, model: DensityModel, index: int) -> None:
    """The levels of one categorical feature by their probability, the likeliest first."""
    mixture, feature = model.mixture, model.features[index]
    if not isinstance(mixture, MixedMixture):
        return
    shares = mixture.weights @ mixture.level_probabilities[index - mixture.numeric.n_features]
    order = np.argsort(-shares, kind="stable")[:_MOST_LEVELS]
    names = [feature.level_names[level] for level in order]
    ax.barh(range(len(order)), shares[order], color="#1f5a8c")
    ax.set_yticks(range(len(order)), names)
    ax.invert_yaxis()
    ax.set_xlabel(f"share of {feature.name}")
    ax.spines[["top", "right"]].set_visible(False)


def _tick_in_source_units(ax: Axes, feature: Feature) -> None:
    """Keep the axis in feature space, where the components are Gaussian; write source units on it."""
    if feature.transform == "identity":
        return
    low, high = ax.get_xlim()
    ticks = _round_numbers(feature, *feature.inverse([low, high]))
    at = feature.forward(ticks)
    seen = (at >= low) & (at <= high)
    ax.set_xticks(at[seen], [f"{tick:,.4g}" for tick in ticks[seen]])
    ax.set_xlim(low, high)


def _round_numbers(feature: Feature, low: float, high: float) -> Array:
    """At most six of 0, 1, 2, 5, 10, 20, ... and their negatives between two source values."""
    if not np.isfinite(high):
        return np.empty(0)
    decades = 10.0 ** np.arange(-3, np.ceil(np.log10(max(abs(low), abs(high), 1.0))) + 1)
    positive = (decades[:, None] * [1.0, 2.0, 5.0]).ravel()
    round_ones = np.concatenate([-positive[::-1], [0.0], positive])
    inside = round_ones[(round_ones >= low) & (round_ones <= high) & feature.allowed(round_ones)]
    at = feature.forward(inside)
    kept: list[int] = []
    apart = feature.forward([high])[0] - feature.forward([max(low, inside.min(initial=low))])[0]
    for index in range(len(inside)):
        if not kept or at[index] - at[kept[-1]] >= apart / _MOST_TICKS:
            kept.append(index)
    return np.asarray(inside[kept])


def _calibration(model: DensityModel) -> Figure:
    figure = _figure(4.6, 4.0)
    fresh: Any = model.mixture.log_prob(model.mixture.sample(_FRESH, _SEED))
    scores = {f"{_FRESH:,} fresh rows of the model": model.tail.score(fresh)}
    plot_calibration(scores, model.anomaly_above, figure.subplots())
    figure.subplots_adjust(0.15, 0.13, 0.97, 0.97)
    return figure
