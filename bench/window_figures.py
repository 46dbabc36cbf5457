"""The figures of `bench.window`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw"]

_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"
_LOSS = 1e-3  # nats: what is nearer to zero is drawn as zero


def draw(found: Sequence[Any], strategies: Sequence[str], blocks: Sequence[str]) -> None:
    """docs/figures/window-likelihood.png and window-time.png of what was measured."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    _FOLDER.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.5), sharey=True)
    for ax, day, title in zip(
        axes, (0, 1), ("rows of the window", "rows of the next day"), strict=True
    ):
        for place, fitted in enumerate(blocks):
            for line, name in enumerate(strategies):
                values = [one.gains[fitted, name][day] for one in found]
                ax.scatter(
                    values,
                    [line + 0.2 * (place - (len(blocks) - 1) / 2)] * len(values),
                    s=14,
                    color=f"C{place}",
                    label=fitted if line == 0 else None,
                )
        ax.axvline(0, color="0.4", lw=0.8)
        ax.set_xscale("symlog", linthresh=_LOSS)
        ax.set_yticks(range(len(strategies)), strategies)
        ax.set_xlabel("nats per row beside the best of five scikit-learn runs")
        ax.set_title(title, fontsize=10)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        [f"blocks fitted {label}" for label in labels],
        ncols=len(blocks),
        loc="upper center",
    )
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(_FOLDER / "window-likelihood.png", dpi=110)
    figure, ax = plt.subplots(figsize=(9, 5))
    names = [one.case.name for one in found]
    default = strategies[-1]
    for key, what in (
        ("scikit-learn", "scikit-learn over the window"),
        ("own EM, the peer's run", "the same run by own kernels"),
        ("own EM", "own EM over the window, by `fit`"),
    ):
        ax.plot([1e3 * one.seconds[key] for one in found], names, "o", label=what)
    update = [1e3 * (one.seconds["cold block"] + one.seconds[default]) for one in found]
    ax.plot(update, names, "o", label="daily update: one block and the window")
    ax.set_xscale("log")
    ax.set_xlabel("ms")
    ax.invert_yaxis()
    ax.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0), frameon=False)
    figure.tight_layout()
    figure.savefig(_FOLDER / "window-time.png", dpi=110)
