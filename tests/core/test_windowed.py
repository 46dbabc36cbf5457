"""WindowedGaussianMixture: blocks in any order, replaced, forgotten; the same outcome."""

from __future__ import annotations

import datetime as dt
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, assert_same_mixture, random_mixture
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gmm_core import GaussianMixture, InvalidInput, Moments, WindowedGaussianMixture
from gmm_core.block import fit_block
from gmm_core.errors import FitFailed
from gmm_core.features import Feature
from gmm_core.window import window_mixture

TRUTH = random_mixture(5, 3, 2, spread=8.0)
DAYS = {key: TRUTH.sample(150 + 10 * key, seed=key) for key in range(6)}


def make(**parameters) -> WindowedGaussianMixture:
    given = {"n_components": 3, "n_init": 1, "random_state": 0, "max_iter": 20} | parameters
    return WindowedGaussianMixture(**given)


def after(keys, **parameters) -> WindowedGaussianMixture:
    model = make(**parameters)
    for key in keys:
        model.partial_fit(DAYS[key], key=key)
    return model


@given(st.permutations(range(5)), st.sampled_from([2, 4, 9]), st.sampled_from(KINDS))
@settings(deadline=None, max_examples=15)
def test_the_order_of_calls_does_not_matter(order, window, kind):
    got = after(order, window=window, covariance_type=kind)
    want = after(range(5), window=window, covariance_type=kind)
    assert got.keys_ == want.keys_ == list(range(5))[-window:]
    assert_same_mixture(got.mixture_, want.mixture_, rtol=1e-10, atol=1e-12)


def test_it_is_the_library_s_own_window_mixture():
    model = after(range(4), window=3, block_components=5)
    features = [Feature("x0"), Feature("x1")]
    seed = np.random.RandomState(0).randint(2**31 - 1)
    blocks = [
        fit_block("rows", str(key), features, DAYS[key], k=5, restarts=1, max_iterations=20,
                  tolerance=1e-4, seed=seed)
        for key in (1, 2, 3)
    ]  # fmt: skip
    assert_same_mixture(model.mixture_, window_mixture(blocks, 3), rtol=1e-12)
    assert [one.digest for one in model.summaries_] == [one.digest for one in blocks]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_window_s_rows_have_its_mean_and_covariance(weighted):
    model, rows, weights = make(window=3, regularisation=1e-4), [], []
    for key in range(5):
        weight = np.random.default_rng(key).uniform(0, 2, len(DAYS[key])) if weighted else None
        model.partial_fit(DAYS[key], sample_weight=weight)
        rows.append(DAYS[key])
        weights.append(np.ones(len(DAYS[key])) if weight is None else weight)
    exact = Moments.of(np.vstack(rows[2:]), np.concatenate(weights[2:]))
    share = [w.sum() for w in weights[2:]]
    added = np.average([s.regularisation for s in model.summaries_], axis=0, weights=share)
    np.testing.assert_allclose(model.mixture_.mean(), exact.mean, rtol=1e-9)
    np.testing.assert_allclose(
        model.mixture_.covariance() - np.diag(added), exact.covariance, rtol=1e-8, atol=1e-9
    )


def test_weights_count_rows_and_their_order_does_not():
    X, weight = DAYS[0], np.random.default_rng(0).integers(0, 3, len(DAYS[0]))
    order = np.random.default_rng(1).permutation(len(X))
    one = make().fit(X, sample_weight=weight)
    other = make().fit(X[order], sample_weight=weight[order])
    assert_same_mixture(one.mixture_, other.mixture_, rtol=1e-12)
    twice = make().fit(np.repeat(X, weight, axis=0))
    assert one.summaries_[0].moments.weight == twice.summaries_[0].moments.weight == weight.sum()
    np.testing.assert_allclose(one.mixture_.mean(), twice.mixture_.mean(), rtol=1e-9)
    assert one.score(X) == pytest.approx(twice.score(X), abs=0.05)


def test_the_same_key_replaces_and_forgetting_undoes():
    plain = after([0, 1, 2])
    replaced = after([0, 1, 2]).partial_fit(DAYS[5], key=1)
    assert replaced.keys_ == [0, 1, 2]
    assert replaced.mixture_ != plain.mixture_
    assert_same_mixture(replaced.partial_fit(DAYS[1], key=1).mixture_, plain.mixture_, rtol=1e-12)
    assert_same_mixture(after([0, 1, 2, 4]).forget(4).mixture_, plain.mixture_, rtol=1e-12)
    model = after([0])
    with pytest.raises(InvalidInput, match=r"no such block.*got 7"):
        model.forget(7)
    with pytest.raises(NotFittedError):
        model.forget(0).predict(DAYS[0])
    assert not hasattr(model, "keys_")
    assert model.partial_fit(DAYS[0][:, :1]).n_features_in_ == 1, "it knows nothing any more"


def test_keys_number_themselves_and_are_of_one_kind():
    model = make()
    for expected in ([0], [0, 1]):
        assert model.partial_fit(DAYS[0]).keys_ == expected
    assert model.partial_fit(DAYS[0], key=np.int64(7)).partial_fit(DAYS[1]).keys_ == [0, 1, 7, 8]
    assert model.forget(8).partial_fit(DAYS[1]).keys_ == [0, 1, 7, 9], "never the same again"
    dated = make().partial_fit(DAYS[0], key=dt.date(2024, 5, 2))
    assert dated.partial_fit(DAYS[1], key=dt.date(2024, 5, 1)).keys_[0] == dt.date(2024, 5, 1)
    for wrong in ("2024-05-03", 3, True, None, 1.5):
        with pytest.raises(InvalidInput, match="key"):
            dated.partial_fit(DAYS[0], key=wrong)


def test_a_block_older_than_a_full_window_changes_nothing():
    model = after([3, 4], window=2)
    before = model.mixture_
    assert model.partial_fit(DAYS[0], key=0).keys_ == [3, 4]
    assert model.mixture_ is before


def test_a_block_that_fails_leaves_the_window_as_it_was():
    model = after([0, 1])
    before, keys = model.mixture_, list(model.keys_)
    constant = DAYS[2].copy()
    constant[:, 1] = 3.0
    with pytest.raises(FitFailed, match="constant"):
        model.partial_fit(constant)
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(DAYS[2][:, :1])
    with pytest.raises(InvalidInput, match="NaN"):
        model.partial_fit(np.full((9, 2), np.nan))
    assert (model.mixture_, model.keys_) == (before, keys)


def test_component_ids_stay_with_components():
    model = after([0], window=2)
    assert sorted(model.component_ids_) == [0, 1, 2] == list(model.born_)
    known = dict(zip(model.component_ids_.tolist(), model.means_, strict=True))
    for key in (1, 2, 3):
        model.partial_fit(DAYS[key], key=key)
        assert (model.born_, model.died_) == ((), ())
        for one, mean in zip(model.component_ids_.tolist(), model.means_, strict=True):
            assert np.abs(mean - known[one]).max() < 1.5
    for key in (4, 5):
        model.partial_fit(DAYS[key] + 1_000.0, key=key)
    assert set(model.component_ids_.tolist()).isdisjoint({0, 1, 2})
    assert sorted(model.fit(DAYS[0]).component_ids_) == [0, 1, 2], "fit starts anew"


def test_it_answers_as_the_mixture_does():
    model, X = after([0, 1, 2]), DAYS[3]
    np.testing.assert_allclose(model.score_samples(X), model.mixture_.log_prob(X))
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X).argmax(axis=1))
    rows, component = model.sample(10)
    assert (rows.shape, component.shape) == ((10, 2), (10,))
    peer = GaussianMixture.from_mixture(model.mixture_)
    assert model.bic(X) == pytest.approx(peer.bic(X))
    assert model.aic(X, np.full(len(X), 2.0)) == pytest.approx(peer.aic(X, np.full(len(X), 2.0)))


def test_a_window_of_parts_is_near_the_fit_of_all_rows():
    model = make(n_init=3, max_iter=200)
    for key in range(6):
        model.partial_fit(DAYS[key])
    held_out = TRUTH.sample(5_000, seed=99)
    whole = GaussianMixture(3, n_init=3, random_state=0).fit(np.vstack(list(DAYS.values())))
    assert model.score(held_out) > whole.score(held_out) - 0.05


def test_copies():
    model = after([0, 1], window=5, block_components=4)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "keys_")
    back = pickle.loads(pickle.dumps(model))
    assert back.mixture_ == model.mixture_
    assert back.partial_fit(DAYS[2]).keys_ == [0, 1, 2]


@pytest.mark.parametrize(("n", "most"), [(7, 2), (9, 3), (60, 4)])
def test_blocks_of_few_rows_begin_with_fewer_components(n, most):
    settings = make(n_components=2)._settings(n, 2)
    assert (settings["k"], settings["fewest"]) == (most, 2)
    assert 2 <= make(n_components=2).fit(DAYS[0][:n]).summaries_[0].mixture.n_components <= most


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"window": 0}, "window.*1 or more"),
        ({"window": 2.0}, "window"),
        ({"window": True}, "window"),
        ({"block_components": 2}, "block_components.*3 or more"),
        ({"n_components": 0}, "n_components"),
        ({"regularisation": -1.0}, "regularisation"),
        ({"covariance_type": "round"}, "covariance_type"),
    ],
)
def test_what_is_refused(parameters, message):
    with pytest.raises(InvalidInput, match=message):
        make(**parameters).partial_fit(DAYS[0])


def test_a_constant_feature_is_told_of_without_a_stream_file():
    constant = DAYS[2] * [1.0, 0.0] + [0.0, 3.0]
    for weight in (None, np.ones(len(constant))):
        with pytest.raises(
            FitFailed, match=r"feature 1 is constant.*got 3.0.*more rows"
        ) as failure:
            make().partial_fit(constant, sample_weight=weight)
        assert isinstance(failure.value, ValueError)
        assert "stream" not in str(failure.value)
    alone = np.where(np.arange(len(constant)) == 0, 1.0, 0.0)
    with pytest.raises(FitFailed, match="feature 0 is constant"):
        make(n_components=1).partial_fit(DAYS[2], sample_weight=alone)


def test_a_single_row_is_refused_alike_as_the_first_block_and_later():
    messages = set()
    for model in (make(n_components=1), after([0], n_components=1)):
        with pytest.raises(ValueError, match="minimum of 2") as failure:
            model.partial_fit(DAYS[1][:1])
        messages.add(str(failure.value))
    assert len(messages) == 1


def test_times_of_numpy_and_pandas_are_keys():
    pandas = pytest.importorskip("pandas")
    day, hour = dt.date(2024, 5, 2), dt.datetime(2024, 5, 2, 7)
    model = make(n_components=1).partial_fit(DAYS[0], key=np.datetime64("2024-05-02"))
    assert model.partial_fit(DAYS[1], key=day).keys_ == [day]
    assert not hasattr(model.forget(np.datetime64("2024-05-02")), "keys_")
    for late in (pandas.Timestamp(hour), np.datetime64(hour), hour):
        model.partial_fit(DAYS[1], key=late)
        assert model.keys_ == [hour]
        assert type(model.keys_[0]) is dt.datetime
    for wrong in (day, pandas.Timestamp(hour, tz="UTC"), "2024-05-02", [1], np.array([1, 2])):
        with pytest.raises(InvalidInput, match=r"key of a block.*Give all blocks keys of one kind"):
            model.partial_fit(DAYS[0], key=wrong)
        with pytest.raises(InvalidInput, match="key of a block"):
            model.forget(wrong)
    far = np.datetime64("20000-01-01")
    for wrong in (
        pandas.NaT,
        np.datetime64("NaT"),
        np.datetime64(1, "ns"),
        pandas.Timestamp(1),
        far,
    ):
        with pytest.raises(InvalidInput, match="to the microsecond at most"):
            make().partial_fit(DAYS[0], key=wrong)


@pytest.mark.parametrize("y", ["2024-06-01", dt.date(2024, 6, 1), 3, np.datetime64("2024-06-01")])
def test_a_key_in_the_place_of_y_is_refused(y):
    with pytest.raises(InvalidInput, match=r"y, which is not used.*by its name, key"):
        make().partial_fit(DAYS[0], y)
    assert make().partial_fit(DAYS[0], np.zeros(len(DAYS[0]))).keys_ == [0]


def test_a_coreset_is_kept_of_each_block_and_polishes_the_window():
    rng = np.random.default_rng(4)
    days = [np.concatenate([rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 3]) for _ in "abc"]
    plain, kept = (WindowedGaussianMixture(2, coreset=m, random_state=0) for m in (0, 60))
    for day in days:
        plain.partial_fit(day)
        kept.partial_fit(day)
    assert [len(one.coreset) for one in plain.summaries_] == [0, 0, 0]
    for day, summary in zip(days, kept.summaries_, strict=True):
        assert len(summary.coreset) == 60
        assert {tuple(row) for row in summary.coreset} <= {tuple(row) for row in day}
    np.testing.assert_allclose(kept.mixture_.mean(), plain.mixture_.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "weight"), [(-1, None), (1.5, None), (10_001, None), (5, np.ones(40))]
)
def test_a_coreset_that_cannot_be_is_refused(size, weight):
    X = np.random.default_rng(4).normal(size=(40, 2))
    with pytest.raises(InvalidInput, match="coreset"):
        WindowedGaussianMixture(2, coreset=size).fit(X, sample_weight=weight)
