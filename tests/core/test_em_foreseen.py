"""EM over many rows ends without the step that is known to gain next to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, random_rows, seeds

import gmm_core.fitting.loop as loop
from gmm_core.em import fit
from gmm_core.fitting.estep import log_joint, numpy_kernel
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.seeding import cold_start
from gmm_core.gaussian import kind_of, log_normalise

kinds = st.sampled_from(KINDS)


@pytest.fixture(scope="module", autouse=True)
def few_rows_are_many():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_MANY", 1)
        yield


def started(seed: int, kind_name: str, **how) -> tuple[loop.Task, loop.State]:
    kind = kind_of(kind_name)
    X = random_rows(seed, 150, 2, groups=3)
    rows, added = Rows.of(X, None, 0.0, 3, isotropic=kind.isotropic)
    task = loop.Task(rows, 3, kind, added, how.get("tol", 1e-3), how.get("most", 2), numpy_kernel)
    begin = cold_start(rows, 3, kind, added + 1e-6, np.random.default_rng(seed))
    return task, loop.run(loop.replace(task, tol=0.0), begin)


@settings(max_examples=15, deadline=None)
@given(seeds, kinds)
def test_the_expected_log_likelihood_is_that_of_each_row(seed, kind):
    task, state = started(seed, kind)
    after, _ = loop.maximisation(task, state)
    X = task.rows.at(slice(None))
    _, log_shares = log_normalise(log_joint(X, state.parameters.joint(task.kind), task.kind))
    for one in (state.parameters, after):
        wanted = (np.exp(log_shares) * log_joint(X, one.joint(task.kind), task.kind)).sum() / len(X)
        assert loop._expected(task, one, state.statistics) == pytest.approx(wanted, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(seeds, kinds)
def test_a_step_gains_at_least_what_it_gains_in_expectation(seed, kind):
    task, state = started(seed, kind)
    after = loop.step(task, state)
    now, then = (loop._expected(task, one.parameters, state.statistics) for one in (state, after))
    assert after.log_likelihood - state.log_likelihood >= then - now - 1e-10


@settings(max_examples=15, deadline=None)
@given(seeds, kinds)
def test_what_was_not_made_would_have_gained_less_than_the_tolerance(seed, kind):
    X = random_rows(seed, 200, 2, groups=3)
    how = {"covariance_type": kind, "kernel": "numpy", "reg_covar": 1e-9}
    got = fit(X, 3, tol=1e-3, seed=seed, **how)
    assert got.log_likelihood == pytest.approx(got.mixture.log_prob(X).mean(), abs=1e-9)
    one_more = fit(X, 3, tol=0, max_iter=1, start=got.mixture, **how)
    assert not got.converged or one_more.log_likelihood - got.log_likelihood < 1e-3


@settings(max_examples=15, deadline=None)
@given(seeds, kinds, st.sampled_from([1e-3, 1e-2, 0.1]))
def test_added_variance_ends_nothing_early(seed, kind, part):
    """It makes a step worse than the best one: Q may fall while the log-likelihood rises."""
    X = random_rows(seed, 200, 2, groups=3)
    how = {"covariance_type": kind, "kernel": "numpy", "reg_covar": part * X.var(axis=0).mean()}
    got = fit(X, 3, tol=1e-5, seed=seed, **how)
    one_more = fit(X, 3, tol=0, max_iter=1, start=got.mixture, **how)
    assert not got.converged or one_more.log_likelihood - got.log_likelihood < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_components_far_apart_need_one_step_less(kind, monkeypatch):
    X = np.concatenate([random_rows(1, 80, 2, groups=1) + 50 * i for i in range(3)])
    how = {"covariance_type": kind, "tol": 1e-3, "kernel": "numpy"}
    less = fit(X, 3, **how)
    monkeypatch.setattr(loop, "_SMALL", -np.inf)
    more = fit(X, 3, **how)
    assert less.converged
    assert more.converged
    assert less.iterations == more.iterations - 1
    assert less.log_likelihood == pytest.approx(more.log_likelihood, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_is_as_never_having_stopped(kind):
    task, state = started(5, kind, tol=0.0, most=2)
    longer = loop.replace(task, max_iter=5)
    assert loop.go_on(longer, state) is state  # its end
    further = loop.replace(state, status=None)
    at_once, in_two = loop.run(longer, state.parameters), loop.go_on(longer, further)
    assert len(in_two.trace) == 5
    assert in_two.trace[2:] == at_once.trace[:3]
    assert in_two.status is loop.FitStatus.STOPPED
