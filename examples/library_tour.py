"""The figures of docs/library.md: what `gmm_core` does on its own, without the pipeline.

python examples/library_tour.py --into docs/images    # needs matplotlib: pip install "blockmix[plot]"
"""

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from gmm_core import GaussianMixture, Mixture
from gmm_core.reduction import reduce


def main() -> None:
    """Draw every figure into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=Path(), help="folder, default: this one")
    into = parser.parse_args().into
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    known(left, right)
    save(figure, into / "library-mixture.png")
    figure, axes = plt.subplots(1, 3, figsize=(12, 4))
    three_ways(*axes)
    save(figure, into / "library-choice.png")


def known(left: plt.Axes, right: plt.Axes) -> None:
    """A mixture from known parameters: its density in one feature, its components in two."""
    mixture = Mixture(
        weights=[0.5, 0.3, 0.2],
        means=[[0.0, 0.0], [4.0, 1.0], [1.0, 4.0]],
        covariances=[
            [[1.0, 0.6], [0.6, 1.0]],
            [[0.5, 0.0], [0.0, 1.5]],
            [[1.5, -0.5], [-0.5, 0.4]],
        ],
    )
    rows = mixture.sample(2_000, seed=1)
    mixture.marginal([0]).plot(rows[:, [0]], ax=left)
    left.set_title("One feature: marginal([0]).plot(rows[:, [0]])")
    mixture.plot(rows, ax=right)
    right.set_title("Two features: plot(rows)")


def three_ways(choice: plt.Axes, outliers: plt.Axes, merged: plt.Axes) -> None:
    """k by BIC; gross outliers with and without a background; two days pooled and reduced."""
    truth = Mixture(
        [0.4, 0.35, 0.25],
        [[0.0, 0.0], [5.0, 1.0], [1.0, 5.0]],
        [[1.0, 0.7], [0.5, 1.5], [1.5, 0.4]],
        "diag",
    )
    rows = truth.sample(3_000, seed=2)
    tries = range(1, 8)
    bics = [GaussianMixture(k, n_init=3, random_state=0).fit(rows).bic(rows) for k in tries]
    choice.plot(tries, bics, marker="o")
    choice.set(title="BIC chooses k", xlabel="components", ylabel="BIC, lower is better")

    rng = np.random.default_rng(3)
    spoiled = np.vstack([rows, rng.uniform(-200, 200, size=(30, 2))])
    outliers.plot(*rows[::5].T, ".", markersize=2, color="0.7")
    for background, colour in ((False, "C3"), (True, "C0")):
        model = GaussianMixture(3, background=background, random_state=0).fit(spoiled)
        name = "with a background" if background else "without"
        outliers.plot(*model.means_.T, "X", color=colour, markersize=10, label=name)
    outliers.set(title="1 % gross outliers: the means", xlim=(-4, 9), ylim=(-4, 9))
    outliers.legend()

    days = [GaussianMixture(6, random_state=0).fit(day).mixture_ for day in np.split(rows, 3)]
    pooled = Mixture(
        np.concatenate([day.weights / 3 for day in days]),
        np.concatenate([day.means for day in days]),
        np.concatenate([day.covariances for day in days]),
    )
    reduce(pooled, 3).plot(rows, ax=merged)
    merged.set_title("Three days, pooled and reduced")


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure and say where."""
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
