"""Kept rows: the coresets of a window's blocks as parts, with weights that keep the pooled moments.

A sample's mean and covariance are not those of all rows. To move its points would miss peaks that
are narrower than the move; so their weights are moved instead, as little as it takes (calibration:
Deville and Sarndal 1992, the chi-square distance). EM on parts keeps their mean and covariance, so
what is fitted to them has the pooled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gmm_core.arrays import Array
from gmm_core.refinement.guard import Gain, gain_of
from gmm_core.refinement.parts import Model, Parts
from gmm_core.refinement.passes import log_density
from gmm_core.refinement.soft import soften
from gmm_core.refinement.units import Units
from gmm_core.summary import BlockSummary

__all__ = ["calibrated", "kept_rows", "polished"]

_LEAST, _MOST = 0.1, 10.0  # of its own weight: beyond, the sample is too small to be calibrated


def kept_rows(summaries: Sequence[BlockSummary], units: Units, whole: Parts) -> Parts | None:
    """The rows that the blocks kept, or `None` unless all of them did and they can be calibrated.

    Parameters
    ----------
    units : of the pooled mixture; `whole` is that mixture in them.

    A row stands for its share of its block, and is as wide as the block's regularisation.
    """
    if not all(len(summary.coreset) for summary in summaries):
        return None
    ordered = sorted(summaries, key=lambda summary: summary.key)
    sizes = [len(summary.coreset) for summary in ordered]
    weights = np.repeat(
        [summary.moments.weight / n for summary, n in zip(ordered, sizes, strict=True)], sizes
    )
    means, widths = units.placed(
        np.concatenate([summary.coreset for summary in ordered]),
        np.stack([summary.regularisation for summary in ordered]),
    )
    owner = np.repeat(np.arange(len(sizes)), sizes)
    parts = replace(
        whole, weights=weights / weights.sum(), means=means, covariances=widths, owner=owner
    )
    return calibrated(parts, whole.features @ whole.weights)


def calibrated(parts: Parts, target: Array) -> Parts | None:
    """The parts with weights under which their features' mean is the target; `None` if far off.

    w_i (1 + l'f_i) with f_i the features of part i and l from the linear equations that make the
    sums the target's: of all weights that do, the nearest by sum_i (v_i - w_i)^2 / w_i.

    Parameters
    ----------
    target : (q,) means of `Parts.features`, the first of them 1.
    """
    features = parts.features
    if features.shape[1] <= features.shape[0]:
        return None
    weighted = features * parts.weights
    short = target - weighted.sum(axis=1)
    factors = 1 + np.linalg.lstsq(weighted @ features.T, short, rcond=None)[0] @ features
    if not (factors.min() >= _LEAST and factors.max() <= _MOST):
        return None
    weights = parts.weights * factors
    return replace(parts, weights=weights / weights.sum())


def polished(parts: Parts, start: Model, *, steps: int, tol: float) -> tuple[Model, Gain]:
    """EM on all parts, and what EM on one half of them gains on the other, both ways round.

    The gain is that of models which have not seen the parts that they are asked about.
    """
    target = parts.features @ parts.weights
    halves = [parts.some(np.arange(len(parts)) % 2 == side) for side in (0, 1)]
    found = []
    for own, other in (halves, halves[::-1]):
        fair = calibrated(own, target) or own
        model = soften(fair, start, steps=steps, tol=tol).model
        found.append(log_density(other, model) - log_density(other, start))
    weights = np.concatenate([half.weights for half in reversed(halves)])
    honest = gain_of(np.concatenate(found), weights / weights.sum())
    return soften(parts, start, steps=steps, tol=tol).model, honest
