"""The fit gate and the model gate: the named laws, judged and reported by Great Expectations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expectations import ExpectationsGate
from gmm_core.invariants import block_laws, violations, window_laws
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.moments import Moments
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary


def failed(report: GateReport) -> set[str]:
    return {check.name for check in report.failures}


def mixture_with(mixture: Mixture, **parts: np.ndarray) -> Mixture:
    kept = {"weights": mixture.weights, "means": mixture.means, "covariances": mixture.covariances}
    return Mixture(**{**kept, **parts}, covariance_type=mixture.covariance_type)


def off_sum(summary: BlockSummary) -> BlockSummary:
    mixture = mixture_with(summary.mixture, weights=summary.mixture.weights * (1 + 5e-10))
    return replace(summary, mixture=mixture)


def flat(summary: BlockSummary) -> BlockSummary:
    covariances = summary.mixture.covariances.copy()
    covariances[0] = np.diag([1.0, 1.0, 1e-9])
    return replace(summary, mixture=mixture_with(summary.mixture, covariances=covariances))


def lopsided(summary: BlockSummary) -> BlockSummary:
    weights = np.array([0.95, 0.03, 0.02])
    return replace(summary, mixture=mixture_with(summary.mixture, weights=weights))


def shifted(summary: BlockSummary) -> BlockSummary:
    moments = summary.moments
    return replace(summary, moments=Moments(moments.weight, moments.mean + 1e-6, moments.scatter))


def widened(summary: BlockSummary) -> BlockSummary:
    moments = summary.moments
    scatter = moments.scatter * (1 + 1e-6)
    return replace(summary, moments=Moments(moments.weight, moments.mean, scatter))


def narrowed(summary: BlockSummary) -> BlockSummary:
    return replace(summary, maximum=summary.mixture.means.max(axis=0) - 0.01)


def test_a_real_fit_passes(
    gate: ExpectationsGate, stream: Stream, blocks: list[BlockSummary]
) -> None:
    report = gate.check_summary(stream, blocks[0])
    assert report.passed, report.reason
    assert (report.gate, report.score) == ("fit", "7/7")


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (off_sum, {"weights_sum_to_one"}),
        (flat, {"condition_number", "covariance_preserved"}),
        (lopsided, {"largest_weight", "mean_preserved", "covariance_preserved"}),
        (shifted, {"mean_preserved"}),
        (widened, {"covariance_preserved"}),
        (narrowed, {"means_inside_range"}),
    ],
)
def test_a_spoilt_fit_is_refused_by_the_laws_it_breaks(
    gate: ExpectationsGate, stream: Stream, blocks: list[BlockSummary], spoil, broken: set[str]
) -> None:
    spoilt = spoil(blocks[0])
    report = gate.check_summary(stream, spoilt)
    assert failed(report) == broken
    laws = block_laws(spoilt, condition_number=1e8, maximum_weight=0.9)
    assert failed(report) == {law.name for law in violations(laws)}
    assert len(report.checks) == len(laws)


def test_a_check_carries_value_and_bound(
    gate: ExpectationsGate, stream: Stream, blocks: list[BlockSummary]
) -> None:
    report = gate.check_summary(stream, lopsided(blocks[0]))
    checks = {check.name: check for check in report.checks}
    assert (checks["largest_weight"].got, checks["largest_weight"].bound) == ("0.95", "at most 0.9")
    assert checks["weights_sum_to_one"].bound == "1 ± 1e-12"
    assert "largest_weight: got 0.95, allowed at most 0.9" in report.reason


def test_the_streams_bounds_count(
    gate: ExpectationsGate, stream: Stream, blocks: list[BlockSummary]
) -> None:
    strict = stream.gates.model_copy(update={"condition_number": 1.5, "maximum_weight": 0.2})
    report = gate.check_summary(stream.model_copy(update={"gates": strict}), blocks[0])
    assert failed(report) == {"condition_number", "largest_weight"}


def test_a_real_window_passes(
    gate: ExpectationsGate, stream: Stream, blocks: list[BlockSummary], model: DensityModel
) -> None:
    report = gate.check_window(stream, blocks[-1].key, model, blocks)
    assert report.passed, report.reason
    assert (report.gate, report.score) == ("window", "6/6")


def test_a_window_that_lost_its_moments_is_refused(
    gate: ExpectationsGate, stream: Stream, blocks: list[BlockSummary], model: DensityModel
) -> None:
    moved = replace(model, mixture=mixture_with(model.mixture, means=model.mixture.means + 0.001))
    report = gate.check_window(stream, blocks[-1].key, moved, blocks)
    assert failed(report) == {"mean_preserved"}
    # A model of other blocks than it says it is of.
    report = gate.check_window(stream, blocks[-1].key, model, blocks[:-1])
    laws = window_laws(model.mixture, blocks[:-1], condition_number=1e8, maximum_weight=0.9)
    assert (
        failed(report)
        == {law.name for law in violations(laws)}
        == {
            "mean_preserved",
            "covariance_preserved",
        }
    )
