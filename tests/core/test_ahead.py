"""Several steps of EM in one compiled call are those of the loop, made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from esteps import weights_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import seeds

from gmm_core.em import fit
from gmm_core.fitting import ahead, loop
from gmm_core.mixture import Mixture

own_widths = st.sampled_from(["full", "diag"])
weights = st.sampled_from(["none", "random", "with zeros"])


def both(X, k, **how):
    """A fit in compiled code: as it is, and step by step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "goes_ahead", lambda *_: False)
        plain = fit(X, k, kernel="compiled", **how)
    return fit(X, k, kernel="compiled", **how), plain


@pytest.fixture
def steps(monkeypatch):
    """The steps that the loop made itself, one by one."""
    seen = []

    def counted(task, state, step=loop.step):
        seen.append(len(state.trace))
        return step(task, state)

    monkeypatch.setattr(loop, "step", counted)
    return seen


def assert_same(one, other, rounding):
    assert (one.status, one.iterations, one.reseeded) == (
        other.status,
        other.iterations,
        other.reseeded,
    )
    assert len(one.trace) == one.iterations
    np.testing.assert_allclose(one.trace, other.trace, rtol=rounding, atol=rounding)
    for name in ("weights", "means", "covariances"):
        got, want = getattr(one.mixture, name), getattr(other.mixture, name)
        scale = np.abs(want).max()
        np.testing.assert_allclose(got, want, rtol=rounding, atol=rounding * scale)


@settings(max_examples=25, deadline=None)
@given(
    seeds,
    own_widths,
    st.integers(1, 5),
    st.integers(1, 6),
    weights,
    st.sampled_from([np.float64, np.float32]),
    st.sampled_from([0.0, 1e-3]),
)
def test_it_comes_to_the_same(seed, kind, d, k, how, dtype, tol):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(k, d))[rng.integers(k, size=300)] * 3 + rng.normal(size=(300, d)) + 5
    one, other = both(
        X.astype(dtype),
        k,
        covariance_type=kind,
        reg_covar=1e-3,
        tol=tol,
        max_iter=12,
        seed=seed,
        sample_weight=weights_of(how, 300, seed),
    )
    assert_same(one, other, 1e-9 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_most_steps_are_not_made_one_by_one(steps, kind):
    X = np.random.default_rng(3).normal(size=(2_000, 4))
    result = fit(X, 5, covariance_type=kind, tol=1e-6, max_iter=60, kernel="compiled")
    assert result.iterations > 20
    assert not steps


def test_a_component_that_runs_empty_is_left_to_the_loop(steps):
    rng = np.random.default_rng(5)
    X = np.concatenate([rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 9])
    start = Mixture([0.4, 0.4, 0.2], [[0, 0], [9, 9], [500, 500]], [np.eye(2)] * 3)
    one, other = both(X, 3, start=start, max_iter=40)
    assert one.reseeded >= 1
    assert_same(one, other, 1e-9)
    assert len(steps) < other.iterations + one.iterations


def test_imprecise_numbers_are_left_to_the_loop():
    X = np.repeat(np.random.default_rng(6).normal(size=(5, 2)), 40, axis=0)  # five places
    one, other = both(X, 5, reg_covar=1e-24, max_iter=20)
    assert_same(one, other, 1e-6)


def test_rows_that_are_many_and_other_types_go_step_by_step(steps):
    rng = np.random.default_rng(7)
    fit(rng.normal(size=(9_000, 2)), 2, tol=0, max_iter=5, kernel="compiled")
    assert len(steps) == 5
    fit(rng.normal(size=(500, 2)), 2, tol=0, max_iter=5, kernel="compiled", covariance_type="tied")
    fit(rng.normal(size=(500, 2)), 2, tol=0, max_iter=5, kernel="compiled", background=True)
    fit(rng.normal(size=(500, 2)), 2, tol=0, max_iter=5, kernel="compiled", rule=lambda *_: None)
    assert len(steps) >= 20


def test_a_start_that_gains_nothing_ends_as_it_does_step_by_step():
    X = np.random.default_rng(8).normal(size=(400, 3))
    first = fit(X, 2, tol=1e-9, max_iter=500).mixture
    one, other = both(X, 2, start=first, tol=1e-4)
    assert one.iterations == 2
    assert_same(one, other, 1e-9)


@settings(max_examples=15, deadline=None)
@given(seeds, own_widths, st.integers(1, 4), st.integers(1, 5), st.integers(1, 30))
def test_extrapolated_steps_keep_the_laws_of_em(seed, kind, d, k, most):
    X = np.random.default_rng(seed).normal(size=(300, d)) * 4 + 7
    how = {"covariance_type": kind, "kernel": "compiled", "tol": 1e-6, "max_iter": most}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "_WORTH", 0)
        got = fit(X, k, reg_covar=0.0, seed=seed, extrapolate=True, **how)
    assert len(got.trace) == got.iterations <= most
    assert (np.diff(got.trace) > -1e-12).all()
    np.testing.assert_allclose(got.log_likelihood, got.mixture.log_prob(X).mean(), rtol=1e-9)
    np.testing.assert_allclose(got.mixture.mean(), X.mean(axis=0), rtol=1e-10)
    covariance = np.cov(X.T, bias=True).reshape(d, d)
    measured = got.mixture.covariance() if kind == "full" else np.diag(got.mixture.covariance())
    wanted = covariance if kind == "full" else np.diag(covariance)
    np.testing.assert_allclose(measured, wanted, atol=1e-8)


def test_fewer_extrapolated_steps_lead_as_far(monkeypatch):
    monkeypatch.setattr(ahead, "_WORTH", 0)
    X = np.random.default_rng(4).normal(size=(1_500, 5))
    how = {"kernel": "compiled", "tol": 1e-5, "max_iter": 2_000}
    plain, fewer = fit(X, 4, **how), fit(X, 4, extrapolate=True, **how)
    assert plain.converged
    assert fewer.converged
    assert fewer.iterations < 0.6 * plain.iterations
    assert fewer.log_likelihood > plain.log_likelihood - 1e-3
