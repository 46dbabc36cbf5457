"""scikit-learn's own checks of an estimator."""

from __future__ import annotations

import pytest
from estimator_checks import outcomes
from mixtures import KINDS
from sklearn.mixture import GaussianMixture as Peer
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmm_core import GaussianMixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([GaussianMixture(covariance_type=kind) for kind in KINDS])
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    check(estimator)


def test_nothing_passes_there_that_does_not_here():
    ours, theirs = outcomes(GaussianMixture()), outcomes(Peer())
    worse = {name for name, status in theirs.items() if status != ours.get(name)}
    assert worse == set()
    assert set(ours.values()) <= set(theirs.values())


@pytest.mark.parametrize("kind", KINDS)
def test_more_components_pass_but_where_the_start_is_drawn_at_random(kind):
    found = outcomes(GaussianMixture(2, covariance_type=kind, max_iter=10))
    failed = {name for name, status in found.items() if status == "failed"}
    # It fits shuffled copies from one seed and wants the same groups; scikit-learn's k-means, which
    # the start is made by, is excused from it. From a given start the law holds: `test_estimator`.
    assert failed <= {"check_sample_weight_equivalence_on_dense_data"}
