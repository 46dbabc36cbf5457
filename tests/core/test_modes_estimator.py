"""`ModeSpecificNormalizer`: scikit-learn's checks, its outputs and their inverse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from estimator_checks import outcomes
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from gmm_core import ModeSpecificNormalizer
from gmm_core.errors import InvalidInput
from gmm_core.normalising.hashing import hash_columns, salt_of

CASES = [
    {"output": output, "choice": choice}
    for output in ("index", "one_hot")
    for choice in ("likeliest", "sampled")
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), 500
    rows = pd.DataFrame({"spent": rng.lognormal(3, 1, n), "hour": rng.integers(0, 24, n) * 1.0})
    rows.loc[:4, "spent"] = [np.nan, 1e12, -1e9, 0.0, 1e-8]
    return rows


@pytest.mark.parametrize("case", CASES[3:], ids=str)
def test_what_scikit_learn_asks_of_a_transformer(case):
    found = outcomes(ModeSpecificNormalizer(3, **case))
    assert {name for name, status in found.items() if status == "failed"} == set()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_there_and_back(table, case):
    model = ModeSpecificNormalizer(4, **case).set_output(transform="pandas")
    made = model.fit_transform(table)
    assert list(made) == list(model.get_feature_names_out())
    assert np.isfinite(made).all(axis=None)
    back = model.inverse_transform(made)
    np.testing.assert_allclose(back, table, rtol=1e-9, atol=1e-12)
    pd.testing.assert_frame_equal(made, model.transform(table))


def test_one_hot_says_what_index_says(table):
    index = ModeSpecificNormalizer(4).fit(table)
    hot = ModeSpecificNormalizer(4, output="one_hot").fit(table)
    names = hot.get_feature_names_out().tolist()
    modes, shown = index.transform(table), hot.transform(table)
    first = [names.index("spent_mode_0"), names.index("hour_mode_0")]
    for place, start, one in zip((1, 3), first, hot.modes_, strict=True):
        want = modes[:, [place]] == np.arange(one.n_modes)
        np.testing.assert_array_equal(shown[:, start : start + one.n_modes], want)


def test_draws_are_those_of_the_keys(table):
    model = ModeSpecificNormalizer(4, choice="sampled", random_state=7).fit(table)
    ids = np.arange(len(table))
    made = model.transform(table, keys=[ids])
    np.testing.assert_array_equal(made[::2], model.transform(table[::2], keys=[ids[::2]]))
    bits = hash_columns([ids], salt_of(7, "spent"))
    mode = model.modes_[0].normalise(table["spent"].to_numpy(), bits)[1]
    np.testing.assert_array_equal(made[:, 1], mode)
    assert (made != model.transform(table, keys=[ids + 1])).any()


def test_soft_one_hot_as_a_generator_makes_it(table):
    model = ModeSpecificNormalizer(4, output="one_hot").fit(table)
    made = model.transform(table)
    soft = np.where(made == 1, 0.9, np.where(made == 0, -0.1, made))
    start = 1 + model.modes_[0].n_modes
    for value in (0, start):
        soft[:, value] = made[:, value]
    np.testing.assert_array_equal(model.inverse_transform(soft), model.inverse_transform(made))


def test_in_a_pipeline(table):
    rows = table.dropna()
    label = rows["spent"] > rows["spent"].median()
    model = make_pipeline(ModeSpecificNormalizer(4, output="one_hot"), LogisticRegression())
    assert model.fit(rows, label).score(rows, label) > 0.8


@pytest.mark.parametrize(
    ("case", "message"),
    [({"output": "none"}, "index, one_hot"), ({"choice": 3}, "likeliest, sampled"),
     ({"least_weight": 0.5}, "least_weight"), ({"max_modes": 0}, "n_components")],
)  # fmt: skip
def test_wrong_settings(table, case, message):
    with pytest.raises(InvalidInput, match=message):
        ModeSpecificNormalizer(**case).fit(table)
