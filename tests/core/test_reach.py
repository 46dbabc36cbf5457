"""What is left out of the work on ordered rows is below rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import random_mixture, seeds

from gmm_core.fitting.compiled import compiled_kernel
from gmm_core.fitting.estep import Joint, Parameters, log_joint, numpy_kernel
from gmm_core.fitting.reach import in_order, within_reach
from gmm_core.fitting.rows import RANGE, Rows
from gmm_core.gaussian import kind_of, log_normalise


def one_feature(seed: int, n: int, k: int, kind: str, weighted: bool = False, dtype=np.float64):
    mixture = random_mixture(seed, k, 1, kind, spread=30.0)
    X = mixture.sample(n, seed).astype(dtype)
    weight = np.random.default_rng(seed).random(n) + 0.1 if weighted else None
    rows, _ = Rows.of(X, weight, 0.0, k, isotropic=kind == "spherical")
    covariances = mixture.kind.rescaled(mixture.covariances, 1 / rows.scale)
    means = (mixture.means - rows.shift) / rows.scale
    return rows, Parameters(mixture.weights, means, covariances).joint(mixture.kind)


@given(seeds, st.integers(1, 6), st.integers(1, 5 * RANGE))
def test_what_is_out_of_reach_has_no_share(seed, k, length):
    rows, joint = one_feature(seed, 5 * RANGE, k, "full")
    rows = in_order(rows)
    spans = [slice(i, min(i + length, len(rows))) for i in range(0, len(rows), length)]
    reach = within_reach(rows, joint, spans)
    shares = log_normalise(log_joint(rows.at(slice(None)), joint, kind_of("full")))[1]
    assert reach.any(axis=1).all()
    for span, near in zip(spans, reach, strict=True):
        assert (shares[span][:, ~near] < -36).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_ordered_rows_say_what_the_others_do(kind, weighted, dtype, rtol):
    rows, joint = one_feature(3, 150_000, 6, kind, weighted, dtype)
    ordered = in_order(rows)
    spans = [slice(i, i + 10_000) for i in range(0, 150_000, 10_000)]
    assert within_reach(ordered, joint, spans).mean() < 0.6
    assert within_reach(rows, joint, spans).all()
    slow = numpy_kernel(rows, joint, kind_of(kind))
    fast = compiled_kernel(ordered, joint, kind_of(kind))
    assert fast.log_likelihood == pytest.approx(slow.log_likelihood, rel=rtol)
    np.testing.assert_allclose(fast.weight, slow.weight, rtol=rtol)
    np.testing.assert_allclose(fast.mean, slow.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(fast.scatter, slow.scatter, rtol=10 * rtol)


def test_a_component_out_of_reach_of_all_rows_has_nothing():
    rows, joint = one_feature(3, 50_000, 3, "full")
    gone = Joint(np.r_[joint.offsets[:2], -1e30], joint.means, joint.whiteners)
    found = compiled_kernel(in_order(rows), gone, kind_of("full"))
    assert found.weight[2] == 0
    assert not found.scatter[2].any()
    np.testing.assert_allclose(
        found.weight, numpy_kernel(rows, gone, kind_of("full")).weight, rtol=1e-11
    )


def test_more_features_stay_as_they_are():
    rows, _ = Rows.of(random_mixture(1, 2, 2).sample(100, 1), None, 0.0, 2)
    assert in_order(rows) is rows
    joint = Joint(np.array([0.0, -1e30]), np.zeros((2, 2)), np.ones((2, 2)))
    assert within_reach(rows, joint, [slice(0, 100)]).all()
