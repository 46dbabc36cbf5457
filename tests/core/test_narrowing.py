"""EM begun with more components than are wanted: laws, and the optimum that it finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from levels import random_mixed
from mixtures import (
    KINDS,
    assert_moments_are_those_of,
    assert_same_mixture,
    kinds,
    random_mixture,
    random_rows,
    seeds,
    units,
)

from gmm_core import Feature, em, fit_block
from gmm_core.criteria import free_parameters
from gmm_core.em import fit
from gmm_core.errors import InvalidInput
from gmm_core.fitting import narrowing, starts
from gmm_core.fitting.categories import Categories
from gmm_core.fitting.estep import numpy_kernel
from gmm_core.fitting.loop import Task, run
from gmm_core.fitting.narrowing import narrow_start, worth
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start
from gmm_core.gaussian import kind_of
from gmm_core.mixed.em import fit_mixed
from gmm_core.mixture import Mixture

CROSS = Mixture([0.5, 0.5], np.zeros((2, 2)), [[[9, 0], [0, 0.5]], [[0.5, 0], [0, 9]]])
APART = Mixture(
    np.full(4, 0.25),
    [[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]],
    np.tile(np.eye(2), (4, 1, 1)),
)


def task_of(X: np.ndarray, k: int, kind_name: str = "full", **how) -> Task:
    kind = kind_of(kind_name)
    rows, added = Rows.of(X, None, 1e-6, k, isotropic=kind.isotropic)
    return Task(rows, k, kind, added, how.get("tol", 1e-4), how.get("most", 50), numpy_kernel)


def begun(task: Task, k: int, seed: int = 0):
    return cold_start(task.rows, k, task.kind, task.added, np.random.default_rng(seed))


@settings(max_examples=15, deadline=None)
@given(seeds, kinds)
def test_merging_keeps_mean_and_covariance(seed, kind):
    task = task_of(random_rows(seed, 300, 2), 3, kind)
    wide = begun(task, 6, seed)
    few = narrowing._merged(task, wide, 3)
    before, after = (Mixture(one.weights, one.means, one.covariances, kind) for one in (wide, few))
    assert after.n_components == 3
    np.testing.assert_allclose(after.mean(), before.mean(), atol=1e-10)
    if kind in ("full", "tied"):
        np.testing.assert_allclose(after.covariance(), before.covariance(), atol=1e-10)
    np.testing.assert_allclose(np.trace(after.covariance()), np.trace(before.covariance()))


def test_it_finds_components_that_k_means_cannot_tell_apart(monkeypatch):
    X = CROSS.sample(800, 3)
    best = fit(X, 2, start=CROSS).log_likelihood

    def missed() -> int:
        return sum(fit(X, 2, seed=seed).log_likelihood < best - 0.1 for seed in range(8))

    assert missed() == 0
    monkeypatch.setattr(starts, "_ENOUGH", 10**6)  # rows are never enough: k-means alone
    assert missed() >= 4


def test_on_average_it_ends_higher_than_k_means(monkeypatch):
    rows = [random_mixture(seed, 8, 5, spread=3.0).sample(2_000, seed) for seed in range(8)]

    def outcomes() -> np.ndarray:
        return np.array([fit(X, 8, seed=seed).log_likelihood for seed, X in enumerate(rows)])

    with_it = outcomes()
    monkeypatch.setattr(starts, "_ENOUGH", 10**6)
    assert with_it.mean() > outcomes().mean() + 0.02


@settings(max_examples=10, deadline=None)
@given(seeds, kinds)
def test_the_laws_hold_with_any_number(seed, kind):
    X = random_rows(seed, 400, 2)
    weight = np.random.default_rng(seed).random(400) + 0.1
    result = fit(
        X, 4, fewest=2, covariance_type=kind, reg_covar=1e-8, sample_weight=weight, max_iter=30
    )
    assert result.mixture.n_components in (2, 4)
    assert 1 <= result.iterations == len(result.trace) <= 30
    assert (
        np.diff(result.trace) > -1e-6
    ).all()  # the variance added makes an M-step a little worse
    assert_moments_are_those_of(X, result, 1e-8, weight)
    own = np.average(result.mixture.log_prob(X), weights=weight)
    assert result.log_likelihood == pytest.approx(own, abs=1e-9)


@pytest.mark.parametrize("max_iter", [1, 2, 25])
@pytest.mark.parametrize("fewest", [1, 2, 4])
def test_no_more_iterations_than_asked_for(max_iter, fewest):
    result = fit(random_rows(1, 900, 2, groups=5), 4, fewest=fewest, max_iter=max_iter, tol=1e-9)
    assert result.iterations <= max_iter
    assert (np.diff(result.trace) > -1e-9).all()


@pytest.mark.parametrize(("k", "fewest", "left"), [(8, 4, 4), (4, 2, 4), (4, 4, 4), (6, 5, 5)])
def test_as_many_are_left_as_the_rows_have(k, fewest, left):
    X = APART.sample(2_000, 1)
    result = fit(X, k, fewest=fewest)
    assert result.mixture.n_components == left
    if left == 4:
        order = np.lexsort(np.round(result.mixture.means, -1).T[::-1])
        wanted = np.lexsort(APART.means.T[::-1])
        np.testing.assert_allclose(result.mixture.means[order], APART.means[wanted], atol=0.2)


def test_all_of_them_is_the_same_as_no_number():
    X = random_rows(3, 700, 2)
    assert fit(X, 3, fewest=3).mixture == fit(X, 3).mixture


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_counted_as_the_criteria_count_them(kind):
    task = task_of(random_rows(2, 200, 3), 5, kind)
    state = run(task, begun(task, 5))
    one = state.parameters
    counted = free_parameters(Mixture(one.weights, one.means, one.covariances, kind))
    assert worth(task, state) == pytest.approx(state.log_likelihood - counted / 200)


@pytest.mark.parametrize(("price", "left"), [(0.0, 8), (1.0, 4), (1e3, 4)])
def test_what_a_parameter_costs_decides(monkeypatch, price, left):
    original = narrowing._parameters_of
    monkeypatch.setattr(narrowing, "_parameters_of", lambda task, k: price * original(task, k))
    assert fit(APART.sample(1_000, 2), 8, fewest=4).mixture.n_components == left


def test_it_costs_a_nat():
    """Akaike's: twice the log-likelihood less twice the parameters."""
    task = task_of(APART.sample(1_000, 2), 8)
    state = run(task, begun(task, 8))
    p = 8 - 1 + 8 * 2 + 8 * 3
    assert 1_000 * worth(task, state) == pytest.approx(1_000 * state.log_likelihood - p)


def test_levels_are_parameters_too():
    truth = random_mixed(3, 3, 2, (2, 4))
    coded = fit_mixed(truth.sample(400, seed=1), (2, 4), 3).mixture
    task = replace(task_of(random_rows(1, 400, 2), 3), categories=Categories((2, 4), 0.0))
    assert narrowing._parameters_of(task, 3) == free_parameters(coded)


@pytest.mark.parametrize(("k", "fewest"), [(8, 4), (6, 2)])
def test_em_goes_on_to_its_end_with_what_is_left(k, fewest):
    X = APART.sample(2_000, 3)
    for most in (k, fewest):
        result = fit(X, most, fewest=fewest, tol=1e-7, max_iter=1_000)
        left = result.mixture.n_components
        again = fit(X, left, start=result.mixture, tol=1e-12, max_iter=20)
        assert result.converged
        assert again.log_likelihood - result.log_likelihood < 1e-5


def test_sorting_out_ends_with_the_first_step_that_gains_little():
    task = task_of(random_rows(4, 1_000, 3, groups=5), 6, tol=1e-9)
    saved = 30
    state = narrowing._sorted_out(task, begun(task, 6), saved)
    little = narrowing._LITTLE * saved / 1_000
    gains = np.diff(state.trace)
    assert len(gains) >= 2
    assert gains[-1] < little <= gains[:-1].min()
    assert state.status is None


def test_what_has_ended_is_not_gone_on_with():
    X = random_rows(1, 900, 2, groups=5)
    result = fit(X, 4, fewest=2, tol=10.0, max_iter=3)
    assert result.converged
    assert result.iterations < 3
    assert not fit(X, 4, fewest=2, tol=1e-12, max_iter=3).converged


@pytest.mark.parametrize("seed", range(4))
def test_a_row_of_weight_8_counts_as_eight(seed):
    X = random_rows(seed, 60, 2, groups=4)
    how = {"fewest": 2, "tol": 1e-4, "reg_covar": 1e-3, "start": fit(X, 5, reg_covar=1e-3).mixture}
    once, weighed, copied, light = (
        fit(rows, 5, sample_weight=weight, **how).mixture
        for rows, weight in (
            (X, None), (X, np.full(60, 8.0)), (np.repeat(X, 8, axis=0), None), (X, np.full(60, 0.1)),
        )
    )  # fmt: skip
    assert_same_mixture(weighed, copied, rtol=1e-4, atol=1e-5)
    assert light.n_components <= once.n_components <= weighed.n_components
    assert light.n_components == 2


@pytest.mark.parametrize(("weight", "left"), [(5e-324, 2), (1e-200, 2), (1e300, 5)])
def test_weights_may_be_as_small_and_large_as_numbers_are(weight, left):
    X = random_rows(1, 200, 2, groups=4)
    found = fit(X, 5, fewest=2, sample_weight=np.full(200, weight), n_init=2, reg_covar=1e-3)
    assert found.mixture.n_components == left


def test_the_best_of_several_starts_is_so_by_the_same_measure(monkeypatch):
    X = APART.sample(1_000, 2)
    ends = []

    def one_wide_one_lean(task, start, fewest):
        own = replace(task, k=4 if ends else 8)
        ends.append(run(own, begun(own, own.k)))
        return ends[-1]

    monkeypatch.setattr(em, "ended", one_wide_one_lean)
    found = fit(X, 8, fewest=4, n_init=2)
    assert len(ends) == 2
    assert ends[0].log_likelihood > ends[1].log_likelihood  # which alone would take the first
    assert found.mixture.n_components == 4


def test_outliers_in_the_background_are_no_component():
    X = np.vstack([APART.sample(2_000, 4), np.random.default_rng(1).uniform(-60, 60, (40, 2))])
    found = fit(X, 8, fewest=4, background=True)
    assert found.mixture.weights.sum() == pytest.approx(1.0)
    assert found.mixture.n_components == 4
    assert 0.005 < found.background < 0.04


def test_a_start_with_room_is_not_narrowed_itself(monkeypatch):
    monkeypatch.setattr(starts, "_narrow", lambda *_: pytest.fail("from four times as many"))
    assert fit(APART.sample(2_000, 1), 8, fewest=4).mixture.n_components == 4


def test_rows_in_few_places_are_begun_from_all_of_them():
    X = np.zeros((3_000, 2))
    X[[17, 1_900, 2_800]] = [[0.0, 9.0], [9.0, 0.0], [9.0, 9.0]]
    found = fit(X, 4, fewest=2, reg_covar=1e-3)
    assert_moments_are_those_of(X, found, 1e-3)


@pytest.mark.parametrize("failing", ["wide", "lean"])
def test_one_number_that_fails_leaves_the_other(monkeypatch, failing):
    original = narrowing.go_on if failing == "lean" else narrowing.run

    def go(task, given):
        if task.k == {"wide": 8, "lean": 4}[failing]:
            raise InvalidInput("made up", remedy="none")
        return original(task, given)

    monkeypatch.setattr(narrowing, "go_on" if failing == "lean" else "run", go)
    found = fit(APART.sample(1_000, 2), 8, fewest=4).mixture
    assert found.n_components == {"wide": 4, "lean": 8}[failing]


def test_what_cannot_be_merged_stays(monkeypatch):
    def failing(*_, **__):
        raise InvalidInput("made up", remedy="none")

    monkeypatch.setattr(narrowing, "merges_by", failing)
    X = APART.sample(1_000, 2)
    assert fit(X, 8, fewest=4).mixture.n_components == 8
    assert fit(X, 4).mixture.n_components == 4  # begun from k-means alone
    with pytest.raises(InvalidInput):
        narrow_start(task_of(X, 4), begun(task_of(X, 4), 8))


@pytest.mark.parametrize("kind", KINDS)
def test_units_do_not_count(kind):
    X, unit = random_rows(5, 900, 2, groups=5), units(kind, 1e4)
    one, other = (
        fit(rows, 6, fewest=3, covariance_type=kind, reg_covar=added, max_iter=20, tol=1e-4)
        for rows, added in ((X, 1e-6), (X * unit, 1e-6 * unit**2))
    )
    back = Mixture(
        other.mixture.weights,
        other.mixture.means / unit,
        other.mixture.kind.rescaled(other.mixture.covariances, 1 / unit),
        kind,
    )
    assert_same_mixture(one.mixture, back, rtol=1e-6, atol=1e-7)


def test_the_kernel_does_not_count():
    X = random_rows(6, 1_500, 3, groups=5)
    one, other = (fit(X, 6, fewest=3, kernel=kernel).mixture for kernel in ("numpy", "compiled"))
    assert_same_mixture(one, other, rtol=1e-6, atol=1e-8)


def test_the_order_of_a_blocks_rows_does_not_count():
    X = random_rows(7, 1_000, 2, groups=4)
    features = [Feature("x0"), Feature("x1")]
    one, other = (
        fit_block("s", "1", features, rows, k=8, fewest=4, restarts=2)
        for rows in (X, np.random.default_rng(1).permutation(X))
    )
    assert one.mixture == other.mixture
    assert one.mixture.n_components == 4


def test_levels_are_merged_too():
    truth = random_mixed(3, 3, 2, (2, 4))
    X = truth.sample(1_500, seed=1)
    found = fit_mixed(X, (2, 4), 8, fewest=4)
    assert found.mixture.n_components in (4, 8)
    for f, size in enumerate((2, 4)):
        shares = found.mixture.weights @ found.mixture.level_probabilities[f]
        rows = np.bincount(X[:, 2 + f].astype(int), minlength=size) / len(X)
        wanted = (1 - found.smoothing) * rows + found.smoothing / size
        np.testing.assert_allclose(shares, wanted, atol=1e-9)


@pytest.mark.parametrize("bad", [0, 5, -1, 1.5, "2", True])
def test_a_number_that_cannot_be_is_refused(bad):
    with pytest.raises(InvalidInput, match="fewest components") as caught:
        fit(random_rows(1, 50, 2), 4, fewest=bad)
    assert caught.value.got == bad
    assert "1 to 4" in str(caught.value)


@pytest.mark.parametrize(("n", "d", "k"), [(255, 2, 2), (2_000, 1, 2), (2_000, 2, 1)])
def test_where_it_would_not_pay_em_begins_from_k_means(n, d, k):
    task = task_of(random_rows(4, n, d), k)
    begin, rng = begun(task, k, 5), np.random.default_rng(5)
    start = starts.cold(task, rng)
    np.testing.assert_array_equal(start.means, begin.means)
    np.testing.assert_array_equal(start.covariances, begin.covariances)


def test_from_so_many_rows_on_it_is_narrowed():
    task = task_of(random_rows(4, 256, 2), 2)
    start = starts.cold(task, np.random.default_rng(5))
    assert (start.means != begun(task, 2, 5).means).any()
