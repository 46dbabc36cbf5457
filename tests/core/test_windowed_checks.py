"""scikit-learn's own checks of the windowed estimator."""

from __future__ import annotations

import pytest
from mixtures import KINDS
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmm_core import WindowedGaussianMixture


@parametrize_with_checks([WindowedGaussianMixture(covariance_type=kind) for kind in KINDS])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    check(estimator)
