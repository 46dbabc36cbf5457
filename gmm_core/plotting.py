"""Plots of a mixture: a density curve over a histogram, or ellipses over a scatter of rows.

matplotlib is the optional extra "plot", imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows
from gmm_core.components import Components
from gmm_core.conditioning import marginal
from gmm_core.covariances.cholesky import cholesky
from gmm_core.errors import InvalidInput
from gmm_core.extras import optional
from gmm_core.frames import column_names
from gmm_core.quantiles import ppf
from gmm_core.settings import generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot"]

_EXTRA = '"blockmix[plot]"'
_COLOR = "#1f5a8c"
_ROWS_COLOR = "#b9bec4"
_TEXT_COLOR = "#333333"
_MOST_POINTS = 5_000
_MOST_BINS = 80
_OUTSIDE = 0.001  # share of rows on either side that may lie outside of the view
_MOST_NUMBERED = 12  # components; more numbers would hide the picture


def plot(
    mixture: Components,
    X: ArrayLike | None = None,
    *,
    features: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    color: str | None = None,
    seed: int = 0,
) -> Axes:
    """Draw one or two features of a mixture, over rows `X` (n, d) when given; see `Mixture.plot`.

    One feature: density of the mixture, of its weighted components, and a histogram of the rows.
    Two: ellipses at 1 and 2 standard deviations, the wider and darker the heavier the component,
    over at most 5,000 of the rows, drawn by `seed`. A few rows per thousand may lie outside. Axes
    are called by `names`, else as the columns of `X` where it is a table, else by number.

    Raises
    ------
    MissingExtra : matplotlib is not installed.
    InvalidInput : the mixture has more than two features and `features` does not say which, names do
        not fit, or the rows are not such rows.

    >>> import gmm_core
    >>> plot(gmm_core.Mixture([1.0], [[0.0, 1.0]], [1.0], "spherical"), features=[1]).get_xlabel()
    'feature 1'
    """
    shown = _shown(mixture, features)
    part, color = marginal(mixture, shown), _COLOR if color is None else color
    rng = generator(seed)
    _check_look(ax, color)
    rows = None if X is None else as_rows(X, mixture.n_features)[:, shown].astype(np.float64)
    labels = _labels(shown, names, column_names(X))
    rows = None if rows is None or not len(rows) else rows
    axes = _new_axes() if ax is None else ax
    if len(shown) == 1:
        _draw_curve(axes, part, rows, color)
        axes.set_ylabel("density", color=_TEXT_COLOR)
    else:
        _draw_ellipses(axes, part, rows, color, rng)
        axes.set_ylabel(labels[1], color=_TEXT_COLOR)
    axes.set_xlabel(labels[0], color=_TEXT_COLOR)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_TEXT_COLOR)
    axes.legend(frameon=False, fontsize="small", labelcolor=_TEXT_COLOR, markerscale=2.5)
    return axes


def _shown(mixture: Components, features: Sequence[int] | None) -> list[int]:
    try:
        count = mixture.n_features if features is None else len(features)
    except TypeError:
        raise InvalidInput(
            "features to draw", got=features, bound="a list of one or two numbers of features"
        ) from None
    if count not in (1, 2):
        raise InvalidInput(
            "a plot shows one or two features",
            got=count,
            bound="1 or 2",
            remedy="say which, as in features=[0, 1]",
        )
    return list(range(count) if features is None else features)


def _labels(
    shown: list[int], names: Sequence[str] | None, columns: Sequence[str] | None
) -> list[str]:
    labels = [f"feature {i}" for i in shown]
    # A pandas table without names numbers its columns.
    if columns is not None and not all(name.isdecimal() for name in columns):
        labels = [columns[i] for i in shown]
    if names is not None:
        listed = np.iterable(names) and not isinstance(names, str)
        labels = [str(name) for name in names] if listed else []
    if len(labels) != len(shown):
        raise InvalidInput(
            "names of the features drawn", got=names, bound=f"a list of {len(shown)} names"
        )
    return labels


def _check_look(ax: Any, color: Any) -> None:
    """Raises `InvalidInput` for no axes or no colour, before anything is drawn."""
    if not (ax is None or hasattr(ax, "scatter")):
        raise InvalidInput("ax", got=ax, bound="None, or axes of matplotlib")
    if not optional("matplotlib.colors", "plots", _EXTRA).is_color_like(color):
        raise InvalidInput("color", got=color, bound='a colour of matplotlib, as "tab:blue"')


def _new_axes() -> Axes:
    pyplot = optional("matplotlib.pyplot", "plots", _EXTRA)
    axes: Axes = pyplot.subplots(layout="constrained")[1]
    return axes


def _draw_curve(ax: Axes, mixture: Components, rows: Array | None, color: str) -> None:
    low, high = ppf(mixture, [_OUTSIDE, 1 - _OUTSIDE])
    if rows is not None:
        low = min(low, np.quantile(rows, _OUTSIDE))
        high = max(high, np.quantile(rows, 1 - _OUTSIDE))
        bins = int(np.clip(np.sqrt(len(rows)), 10, _MOST_BINS))
        counts, edges = np.histogram(rows, bins, range=(low, high))
        # A share of all rows, also of those outside of the view: else the bars stand too high.
        heights = counts / len(rows) / np.diff(edges)
        ax.stairs(heights, edges, fill=True, color=_ROWS_COLOR, alpha=0.6, label="rows")
    x = _grid(mixture, low, high)
    densities = mixture.kind.log_density(x[:, None], mixture.means, mixture.whiteners)
    parts = np.exp(densities + np.log(mixture.weights))
    if mixture.n_components > 1:
        for index, part in enumerate(parts.T):
            label = "weighted components" if index == 0 else None
            ax.plot(x, part, color=color, linewidth=1.0, alpha=0.55, label=label)
    ax.plot(x, parts.sum(axis=1), color=color, linewidth=2.2, label="mixture")
    ax.set_xlim(low, high)
    ax.set_ylim(bottom=0)


def _grid(mixture: Components, low: float, high: float) -> Array:
    """Points in view, dense enough for the narrowest component."""
    steps = np.linspace(-4, 4, 81)
    near = mixture.means + mixture.standard_deviations() * steps
    grid: Array = np.unique(np.concatenate([np.linspace(low, high, 400), near.ravel()]))
    return grid[(grid >= low) & (grid <= high)]


def _draw_ellipses(
    ax: Axes, mixture: Components, rows: Array | None, color: str, rng: np.random.Generator
) -> None:
    turn = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    outlines = mixture.means[:, :, None] + 2 * cholesky(mixture.full_covariances()) @ circle
    view = outlines.transpose(0, 2, 1).reshape(-1, 2)
    if rows is not None:
        view = np.concatenate([view, np.quantile(rows, [_OUTSIDE, 1 - _OUTSIDE], axis=0)])
        some = rng.permutation(len(rows))[:_MOST_POINTS]
        points: dict[str, Any] = {"s": 6, "linewidths": 0, "alpha": 0.5, "rasterized": True}
        ax.scatter(*rows[some].T, color=_ROWS_COLOR, label=_rows_label(some, rows), **points)
    for index, heavy in enumerate(np.sqrt(mixture.weights / mixture.weights.max())):
        centre = mixture.means[index]
        for sigmas, fade, dash in ((1, 1.0, "-"), (2, 0.7, "--")):
            line = centre[:, None] + (outlines[index] - centre[:, None]) * (sigmas / 2)
            label = f"{sigmas} sd" if index == mixture.weights.argmax() else None
            width, alpha = 0.6 + 1.8 * heavy, fade * (0.25 + 0.75 * heavy)
            ax.plot(*line, color=color, linewidth=width, alpha=alpha, linestyle=dash, label=label)
        if mixture.n_components <= _MOST_NUMBERED:
            ax.annotate(f"{index}", centre, ha="center", va="center", color=_TEXT_COLOR)
    low, high = view.min(axis=0), view.max(axis=0)
    margin = 0.04 * (high - low)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _rows_label(some: NDArray[np.intp], rows: Array) -> str:
    return "rows" if len(some) == len(rows) else f"{len(some):,} of {len(rows):,} rows"
