"""Plots: what is drawn is the mixture, to scale, named, and within view."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from mixtures import KINDS, random_mixture

from gmm_core.errors import InvalidInput, MissingExtra
from gmm_core.mixture import Mixture

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().subplots()


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_curve_is_the_density_and_the_components_add_up_to_it(ax):
    mixture = random_mixture(1, 3, 1)
    assert mixture.plot(ax=ax) is ax
    *parts, whole = ax.lines
    x, y = whole.get_data()
    np.testing.assert_allclose(y, np.exp(mixture.log_prob(x[:, None])), rtol=1e-12)
    np.testing.assert_allclose(sum(part.get_ydata() for part in parts), y, rtol=1e-12)
    assert len(parts) == 3
    assert legend(ax) == ["weighted components", "mixture"]
    low, high = ax.get_xlim()
    np.testing.assert_allclose(mixture.cdf([low, high]), [0.001, 0.999], rtol=1e-9)


def test_a_needle_is_not_missed_between_the_points_of_the_curve(ax):
    needle = Mixture([0.5, 0.5], [[0.0], [0.123456]], [1.0, 1e-12], "spherical")
    needle.plot(ax=ax)
    peak = 0.5 / (1e-6 * np.sqrt(2 * np.pi))
    assert ax.lines[-1].get_ydata().max() == pytest.approx(peak, rel=1e-3)


def test_bars_are_shares_of_all_rows(ax):
    mixture = random_mixture(1, 3, 1)
    X = np.concatenate([mixture.sample(20_000, seed=1), np.full((10, 1), 1e6)])
    mixture.plot(X, ax=ax)
    (bars,) = ax.patches
    heights, edges, _ = bars.get_data()
    inside = np.mean((edges[0] <= X) & (edges[-1] >= X))
    assert np.sum(heights * np.diff(edges)) == pytest.approx(inside, rel=1e-12)
    assert inside < 0.9996
    assert ax.get_xlim()[1] < 1e3
    middle = (edges[1:] + edges[:-1]) / 2
    density = np.exp(mixture.log_prob(middle[:, None]))
    assert np.abs(heights - density).max() < 0.1 * density.max()
    assert legend(ax) == ["rows", "weighted components", "mixture"]


@pytest.mark.parametrize("kind", KINDS)
def test_ellipses_lie_one_and_two_deviations_from_the_mean(ax, kind):
    mixture = random_mixture(2, 3, 2, kind)
    mixture.plot(ax=ax)
    assert len(ax.lines) == 6
    for line, (j, sigmas) in zip(ax.lines, [(j, s) for j in range(3) for s in (1, 2)], strict=True):
        delta = np.column_stack(line.get_data()) - mixture.means[j]
        inverse = np.linalg.inv(mixture.full_covariances()[j])
        np.testing.assert_allclose(
            np.sqrt(np.einsum("na,ab,nb->n", delta, inverse, delta)), sigmas, rtol=1e-9
        )
        (low_x, high_x), (low_y, high_y) = ax.get_xlim(), ax.get_ylim()
        x, y = line.get_data()
        assert low_x < x.min() < x.max() < high_x
        assert low_y < y.min() < y.max() < high_y
    assert legend(ax) == ["1 sd", "2 sd"]
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2"]


def test_heavier_components_have_wider_and_darker_lines(ax):
    mixture = Mixture([0.1, 0.6, 0.3], np.eye(3)[:, :2] * 5, [1.0, 1.0, 1.0], "spherical")
    mixture.plot(ax=ax)
    ones = ax.lines[::2]
    assert np.argsort([line.get_linewidth() for line in ones]).tolist() == [0, 2, 1]
    assert np.argsort([line.get_alpha() for line in ones]).tolist() == [0, 2, 1]
    assert ones[1].get_alpha() == 1


def test_the_legend_says_each_thing_once_also_of_equal_components(ax):
    Mixture([0.5, 0.5], [[0.0, 0.0], [5.0, 5.0]], [1.0, 1.0], "spherical").plot(ax=ax)
    assert legend(ax) == ["1 sd", "2 sd"]


def test_at_most_five_thousand_rows_are_drawn_and_the_seed_decides_which(ax):
    mixture = random_mixture(2, 2, 2)
    X = mixture.sample(6_000, seed=1)

    def drawn(seed: int) -> np.ndarray:
        ax.clear()
        mixture.plot(X, ax=ax, seed=seed)
        assert legend(ax)[0] == "5,000 of 6,000 rows"
        return np.asarray(ax.collections[0].get_offsets())

    assert drawn(0).shape == (5_000, 2)
    assert len(np.unique(drawn(0), axis=0)) == 5_000
    np.testing.assert_array_equal(drawn(0), drawn(0))
    assert not np.array_equal(drawn(0), drawn(1))
    ax.clear()
    mixture.plot(X[:50], ax=ax)
    assert legend(ax)[0] == "rows"


def test_an_outlier_does_not_shrink_the_picture(ax):
    mixture = random_mixture(2, 2, 2)
    mixture.plot(np.concatenate([mixture.sample(3_000, seed=1), [[1e9, 1e9]]]), ax=ax)
    assert max(ax.get_xlim()[1], ax.get_ylim()[1]) < 1e3


def test_features_are_drawn_as_asked_for(ax):
    mixture = random_mixture(3, 2, 4)
    X = mixture.sample(10, seed=1)
    mixture.plot(X, features=[3, 1], ax=ax)
    np.testing.assert_array_equal(np.sort(ax.collections[0].get_offsets()[:, 0]), np.sort(X[:, 3]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 3", "feature 1")
    ax.clear()
    mixture.plot(X, features=[2], names=["price"], ax=ax, color="black")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("price", "density")
    assert ax.lines[-1].get_color() == "black"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_axes_are_called_as_the_columns_of_a_table(ax, library):
    frames = pytest.importorskip(library)
    mixture = random_mixture(3, 2, 3)
    X = mixture.sample(10, seed=1)
    table = frames.DataFrame(dict(zip("abc", X.T, strict=True)))
    mixture.plot(table, features=[2, 0], ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "a")
    ax.clear()
    mixture.marginal([1]).plot(table[["b"]], ax=ax)
    assert ax.get_xlabel() == "b"
    ax.clear()
    mixture.plot(table, features=[1], names=["delay"], ax=ax)
    assert ax.get_xlabel() == "delay"


def test_columns_without_a_name_are_numbered_features(ax):
    pandas = pytest.importorskip("pandas")
    mixture = random_mixture(3, 2, 3)
    mixture.plot(pandas.DataFrame(mixture.sample(10, seed=1)), features=[2], ax=ax)
    assert ax.get_xlabel() == "feature 2"


def test_no_rows_are_no_rows(ax):
    random_mixture(1, 2, 1).plot(np.empty((0, 1)), ax=ax)
    assert not ax.patches


def test_the_picture_can_be_drawn_and_saved(tmp_path):
    from matplotlib import pyplot

    for name, d in (("one", 1), ("two", 2)):
        mixture = random_mixture(1, 2, d)
        figure = mixture.plot(mixture.sample(100, seed=1)).figure
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
        pyplot.close(figure)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"one or two features: got 3.*features=\[0, 1\]"),
        ({"features": [0, 1, 2]}, "one or two features: got 3"),
        ({"features": []}, "one or two features: got 0"),
        ({"features": [0, 3]}, "features of a mixture"),
        ({"features": [-1]}, "features of a mixture"),
        ({"features": [1, 1]}, "features of a mixture"),
        ({"features": [0], "names": ["a", "b"]}, "1 names"),
        ({"features": [0], "X": [[1.0]]}, "wrong number of features"),
        ({"features": [0], "X": [[1.0, np.nan, 1.0]]}, "NaN"),
    ],
)
def test_what_is_refused(arguments, message):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    with pytest.raises(InvalidInput, match=message):
        random_mixture(1, 2, 3).plot(**arguments)
    assert pyplot.get_fignums() == before


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtra, match=r'pip install "blockmix\[plot\]"') as caught:
        random_mixture(1, 2, 1).plot()
    assert isinstance(caught.value, ImportError)
    assert not isinstance(caught.value, InvalidInput)


def test_a_missing_extra_survives_a_journey_with_its_message():
    error = MissingExtra("plots need matplotlib", remedy="install it")
    travelled = pickle.loads(pickle.dumps(error))
    assert str(travelled) == str(error) == "plots need matplotlib. Install it."
    assert type(travelled) is MissingExtra
