"""The laws catch what they are there for, and say so in words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mixtures import OWN_KINDS, random_summary

from gmm_core.invariants import Law, block_laws, violations, window_laws
from gmm_core.mixture import Mixture
from gmm_core.summary import BlockSummary
from gmm_core.window import window_mixture

BOUNDS = {"condition_number": 1e8, "maximum_weight": 0.95}


def broken(summary: BlockSummary, **bounds: float) -> list[str]:
    return [law.name for law in violations(block_laws(summary, **(BOUNDS | bounds)))]


def with_mixture(summary: BlockSummary, **change: np.ndarray) -> BlockSummary:
    return dataclasses.replace(summary, mixture=dataclasses.replace(summary.mixture, **change))


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_each_law_of_a_block_catches_its_fault(kind):
    summary = random_summary(1, covariance_type=kind)
    mixture, sd = summary.mixture, np.sqrt(np.diagonal(summary.moments.covariance))
    assert broken(summary) == []
    assert broken(summary, condition_number=1.0) == ["condition_number"]
    assert broken(summary, maximum_weight=0.1) == ["largest_weight"]
    shifted = with_mixture(summary, means=mixture.means + 1e-7 * sd)
    assert broken(shifted) == ["mean_preserved"]
    wider = with_mixture(summary, covariances=mixture.covariances * (1 + 1e-6))
    assert broken(wider) == ["covariance_preserved"]
    unsaid = dataclasses.replace(summary, regularisation=np.zeros(2))
    assert broken(unsaid) == ["covariance_preserved"]
    narrow = dataclasses.replace(summary, maximum=mixture.means.max(axis=0) - 1e-6 * sd)
    assert broken(narrow) == ["means_inside_range"]
    high = dataclasses.replace(summary, minimum=mixture.means.min(axis=0) + 1e-6 * sd)
    assert broken(high) == ["means_inside_range"]


def test_weights_that_drift_are_caught():
    summary = random_summary(1)
    weights = summary.mixture.weights * (1 + 1e-10)  # within what a Mixture still accepts
    assert "weights_sum_to_one" in broken(with_mixture(summary, weights=weights))


def test_a_parameter_that_is_not_finite_is_caught():
    # No constructor lets one through; a gate must not depend on that.
    summary = random_summary(1)
    means = summary.mixture.means.copy()
    means[0, 0] = np.nan
    broken_mixture = Mixture(
        *(getattr(summary.mixture, n) for n in ("weights", "means", "covariances"))
    )
    object.__setattr__(broken_mixture, "means", means)
    assert "parameters_finite" in broken(dataclasses.replace(summary, mixture=broken_mixture))
    assert "mean_preserved" in broken(dataclasses.replace(summary, mixture=broken_mixture))


def test_a_single_component_may_hold_all_rows():
    assert broken(random_summary(1, k=1)) == []


def test_off_diagonal_covariance_is_a_law_of_full_mixtures_only():
    full, diag = random_summary(1), random_summary(1, covariance_type="diag")
    off = np.array([[0.0, 1e-5], [1e-5, 0.0]])
    assert broken(with_mixture(full, covariances=full.mixture.covariances + off)) == [
        "covariance_preserved"
    ]
    difference = diag.mixture.covariance() - diag.moments.covariance
    assert abs(difference[0, 1]) > 1e-6
    assert broken(diag) == []


@pytest.mark.parametrize("kind", OWN_KINDS)
def test_each_law_of_a_window_catches_its_fault(kind):
    blocks = [random_summary(i, f"2024-05-0{i}", covariance_type=kind) for i in range(1, 5)]
    mixture = window_mixture(blocks, 3)

    def names(m: Mixture, pooled: list[BlockSummary], **bounds: float) -> list[str]:
        return [law.name for law in violations(window_laws(m, pooled, **(BOUNDS | bounds)))]

    assert names(mixture, blocks) == []
    assert names(mixture, blocks[::-1]) == []
    assert set(names(mixture, blocks[:-1])) >= {"mean_preserved", "covariance_preserved"}
    moved = dataclasses.replace(mixture, means=mixture.means + 1e-6)
    assert names(moved, blocks) == ["mean_preserved"]
    wider = dataclasses.replace(mixture, covariances=mixture.covariances * (1 + 1e-5))
    assert names(wider, blocks) == ["covariance_preserved"]
    assert names(mixture, blocks, condition_number=1.0) == ["condition_number"]
    assert names(mixture, blocks, maximum_weight=0.1) == ["largest_weight"]


def test_the_bounds_of_the_moment_laws_only_allow_rounding():
    for law in block_laws(random_summary(1), **BOUNDS):
        if law.name in ("mean_preserved", "covariance_preserved", "means_inside_range"):
            assert law.upper is not None
            assert law.upper < 2e-8


def test_every_law_speaks_in_sentences_and_has_its_own_name():
    blocks = [random_summary(1)]
    laws = block_laws(blocks[0], **BOUNDS) + window_laws(blocks[0].mixture, blocks, **BOUNDS)
    for law in laws:
        assert law.says[0].isupper()
        assert law.says.endswith(".")
        assert law.lower is not None or law.upper is not None
    assert len({law.name for law in block_laws(blocks[0], **BOUNDS)}) == 7
    assert len({law.name for law in window_laws(blocks[0].mixture, blocks, **BOUNDS)}) == 6


@pytest.mark.parametrize(
    ("law", "holds"),
    [
        (Law("x", "X.", 1.0, 1.0, 2.0), True),
        (Law("x", "X.", 2.0, 1.0, 2.0), True),
        (Law("x", "X.", 2.1, 1.0, 2.0), False),
        (Law("x", "X.", 0.9, 1.0, None), False),
        (Law("x", "X.", 9e9, 1.0, None), True),
        (Law("x", "X.", float("nan"), None, 1.0), False),
        (Law("x", "X.", float("-inf"), None, 1.0), False),
    ],
)
def test_a_law_holds_between_its_bounds(law, holds):
    assert law.holds is holds
    assert violations([law]) == ([] if holds else [law])
