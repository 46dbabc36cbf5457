"""Choice of k: criteria against their formulas, and what they choose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixtures import KINDS, kinds, random_mixture, random_rows, seeds

from gmm_core.criteria import free_parameters
from gmm_core.em import fit
from gmm_core.errors import FitFailed, InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.selection import select

APART = Mixture(
    [0.3, 0.3, 0.4],
    [[-8.0, 0.0], [8.0, 2.0], [0.0, 9.0]],
    [[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.2]], np.eye(2)],
)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "heldout"])
def test_the_true_number_of_groups_is_found(criterion):
    for seed in range(2):
        X = APART.sample(600, seed)
        selection = select(X, range(1, 6), criterion=criterion, folds=4, n_init=2, seed=seed)
        # AIC and cross-validation are known to take too many rather than too few.
        assert selection.n_components in ((3,) if criterion in ("bic", "icl") else (3, 4, 5))
        assert [c.n_components for c in selection.table] == [1, 2, 3, 4, 5]
        values = [c.value for c in selection.table]
        assert values[2] < values[1] < values[0]


@settings(max_examples=15)
@given(seeds, st.integers(1, 3), kinds, st.booleans(), st.booleans())
def test_criteria_are_their_formulas(seed, k, kind, weighted, gaps):
    X = random_rows(seed, 80, 2)
    weight = np.random.default_rng(seed).random(80) * 3 if weighted else None
    missing = "error"
    if gaps:
        X[::7, 0] = np.nan
        missing = "marginalise"
    same = {"covariance_type": kind, "seed": seed, "max_iter": 10, "missing": missing}
    found = {
        c: select(X, [k], criterion=c, sample_weight=weight, **same) for c in ("aic", "bic", "icl")
    }
    result = fit(X, k, sample_weight=weight, **same)
    assert all(s.best.mixture == result.mixture for s in found.values())
    heavy = np.ones(80) if weight is None else weight
    total = heavy.sum()
    likelihood = heavy @ result.mixture.log_prob(X, missing=missing)
    covariances = {"full": 3 * k, "tied": 3, "diag": 2 * k, "spherical": k}[kind]
    p = k - 1 + 2 * k + covariances
    shares = result.mixture.responsibilities(X, missing=missing)
    entropy = -np.sum(heavy[:, None] * shares * np.log(np.maximum(shares, 1e-300)))
    aic, bic = 2 * p - 2 * likelihood, p * np.log(total) - 2 * likelihood
    value = {c: s.table[0].value for c, s in found.items()}
    assert value["aic"] == pytest.approx(aic, rel=1e-9)
    assert value["bic"] == pytest.approx(bic, rel=1e-9)
    assert value["icl"] == pytest.approx(bic + 2 * entropy, rel=1e-9)
    assert value["icl"] >= value["bic"] - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_information_criteria_are_those_of_scikit_learn(kind):
    from sklearn.mixture import GaussianMixture

    X = random_rows(3, 200, 3)
    peer = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    start = Mixture(peer.weights_ / peer.weights_.sum(), peer.means_, peer.covariances_, kind)
    assert free_parameters(start) == peer._n_parameters()
    ours = fit(X, 2, covariance_type=kind, start=start, max_iter=1).mixture
    peer.weights_, peer.means_ = ours.weights, ours.means
    peer.precisions_cholesky_ = (
        np.linalg.cholesky(np.linalg.inv(ours.covariances))
        if ours.kind.scatter_type == "full"
        else 1 / np.sqrt(ours.covariances)
    )
    same = {"covariance_type": kind, "start": start, "max_iter": 1}
    for criterion in ("aic", "bic"):
        value = select(X, [2], criterion=criterion, **same).table[0].value
        assert value == pytest.approx(getattr(peer, criterion)(X), rel=1e-8)


def test_groups_that_overlap_are_one_for_icl():
    """Two Gaussians on one place fit the rows better, but tell no groups apart."""
    truth = Mixture([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], [[[4, 0], [0, 0.5]], [[0.5, 0], [0, 4]]])
    X = truth.sample(800, 3)
    assert select(X, [1, 2], criterion="bic", n_init=3).n_components == 2
    assert select(X, [1, 2], criterion="icl", n_init=3).n_components == 1


def test_heldout_value_is_that_of_rows_not_seen():
    X = random_rows(5, 60, 2)
    selection = select(X, [2], criterion="heldout", folds=60, max_iter=5, seed=3)
    own = [
        fit(np.delete(X, i, axis=0), 2, max_iter=5, seed=3).mixture.log_prob(X[i : i + 1])[0]
        for i in range(60)
    ]
    assert selection.table[0].value == pytest.approx(-np.mean(own), rel=1e-9)
    assert selection.table[0].log_likelihood == pytest.approx(
        fit(X, 2, max_iter=5, seed=3).log_likelihood, abs=1e-12
    )


def test_one_seed_one_outcome_and_another_seed_other_folds():
    X = random_rows(5, 100, 2)
    same = {"criterion": "heldout", "folds": 3, "max_iter": 5}
    first, again = (select(X, [1, 2], seed=1, **same) for _ in range(2))
    assert first.table == again.table
    assert select(X, [1], seed=2, **same).table[0].value != first.table[0].value


def test_a_number_that_fails_is_told_and_the_others_go_on():
    X = np.repeat(random_rows(1, 3, 2), [10, 20, 30], axis=0)
    selection = select(X, [5, 2, 1, 2], reg_covar=1e-3)
    assert [c.n_components for c in selection.table] == [1, 2, 5]
    failed = selection.table[-1]
    assert failed.status is None
    assert "fewer distinct rows" in failed.problem
    assert failed.value == np.inf
    assert np.isnan(failed.log_likelihood)
    assert all(c.status is not None and c.problem == "" for c in selection.table[:-1])


def test_a_fold_that_cannot_be_fitted_is_a_failure_of_that_number():
    X = random_rows(1, 10, 2)
    selection = select(X, [1, 9], criterion="heldout", folds=2, reg_covar=1e-2)
    assert selection.n_components == 1
    assert "fewer rows" in selection.table[1].problem


def test_rows_of_no_weight_and_without_values_do_not_count():
    X = random_rows(2, 60, 2)
    more = np.vstack([X, [[1e3, 1e3]] * 5, [[np.nan, np.nan]] * 5])
    weight = np.concatenate([np.ones(60), np.zeros(5), np.full(5, 9.0)])
    plain = select(X, [1, 2], sample_weight=np.ones(60))
    other = select(more, [1, 2], sample_weight=weight, missing="marginalise")
    assert [c.value for c in other.table] == pytest.approx([c.value for c in plain.table])


def test_a_background_costs_one_parameter():
    X = np.vstack([APART.sample(400, 1), [[1e3, -1e3]] * 4])
    result = fit(X, 3, background=True)
    selection = select(X, [3], criterion="aic", background=True)
    p = free_parameters(result.mixture) + 1
    want = 2 * p - 2 * len(X) * result.log_likelihood
    assert selection.table[0].value == pytest.approx(want, rel=1e-12)


ROWS = random_rows(1, 20, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": []}, "n_components to choose from"),
        ({"n_components": 3}, "n_components to choose from: got 3"),
        ({"n_components": [0, 1]}, "n_components to choose from"),
        ({"n_components": [1.5]}, "n_components to choose from"),
        ({"criterion": "dic"}, "criterion: got 'dic'; allowed: bic, aic, icl, heldout"),
        ({"criterion": "heldout", "folds": 1}, "folds: got 1; allowed: a whole number, 2 or more"),
        (
            {"criterion": "heldout", "folds": 21},
            "fewer rows than the 21 folds.*got 20.*Give more rows, take fewer folds",
        ),
        ({"criterion": "heldout", "background": True}, "criterion does not go with a background"),
        ({"criterion": "icl", "background": 0.1}, "criterion does not go with a background"),
        ({"tol": -1}, "tol"),
        ({"sample_weight": np.zeros(20)}, "zero for every row"),
        ({"X": np.where(ROWS > 3, np.nan, ROWS)}, 'NaN .*missing="marginalise"'),
        ({"X": ROWS[:0]}, "fewer rows"),
    ],
)
def test_what_is_refused(arguments, message):
    X = arguments.pop("X", ROWS)
    with pytest.raises(InvalidInput, match=message):
        select(X, **{"n_components": [1, 2], **arguments})


def test_when_no_number_can_be_fitted_the_first_failure_is_raised():
    X = np.hstack([ROWS, 2 * ROWS])
    with pytest.raises(FitFailed, match="no usable mixture of 1"):
        select(X, [2, 1], reg_covar=0)


def test_the_text_of_a_selection_shows_every_candidate_and_marks_the_best():
    X = random_mixture(3, 2, 1, spread=20.0).sample(200, seed=1)
    lines = repr(select(X, (1, 2, 250))).splitlines()
    assert lines[0] == "Selection by bic: 2 components"
    assert [line[0] for line in lines[1:]] == [" ", "*", " "]
    assert "fewer" in lines[3]
