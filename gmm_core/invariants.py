"""Named laws of block summaries and window mixtures: one source for tests, gates and pages.

The laws about mean and covariance are exact in real arithmetic: their bounds only allow rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gmm_core.arrays import Array
from gmm_core.gaussian import CovarianceType
from gmm_core.mixed.levels import LevelShares
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.mixture import Mixture
from gmm_core.moments import Moments
from gmm_core.pooling import pooled_levels, pooled_regularisation
from gmm_core.summary import BlockSummary

__all__ = ["Law", "block_laws", "mixture_laws", "violations", "window_laws"]

_EPS = float(np.finfo(np.float64).eps)
_MEAN = 1e-9  # standard deviations
_COVARIANCE = 1e-8  # products of standard deviations
_RANGE = 1e-9  # standard deviations
_LEVELS = 1e-9  # shares of rows


@dataclass(frozen=True)
class Law:
    """A law, what was found, and what it allows.

    Parameters
    ----------
    name : stable identifier.
    says : the law as a sentence for people.
    got : the value found.
    lower, upper : what is allowed, both included; `None` is no bound on that side.
    """

    name: str
    says: str
    got: float
    lower: float | None = None
    upper: float | None = None

    @property
    def holds(self) -> bool:
        """Whether what was found is a number within what is allowed."""
        return bool(
            np.isfinite(self.got)
            and (self.lower is None or self.got >= self.lower)
            and (self.upper is None or self.got <= self.upper)
        )


def violations(laws: Iterable[Law]) -> list[Law]:
    """Those that do not hold."""
    return [law for law in laws if not law.holds]


def block_laws(
    summary: BlockSummary, *, condition_number: float, maximum_weight: float
) -> list[Law]:
    """The laws of a block summary; `condition_number` and `maximum_weight` are upper bounds."""
    target = _Target.of(summary.moments, summary.regularisation)
    numeric = numeric_part(summary.mixture)
    return [
        *mixture_laws(numeric, condition_number, maximum_weight),
        *_moment_laws(numeric, target, "the block's own"),
        *_level_laws(summary.mixture, summary.levels, "the block's own"),
        _range_law(summary, target),
    ]


def window_laws(
    mixture: AnyMixture,
    pooled: Sequence[BlockSummary],
    *,
    condition_number: float,
    maximum_weight: float,
) -> list[Law]:
    """The laws of a window mixture over the block summaries that it was merged from."""
    numeric = numeric_part(mixture)
    moments = sum((summary.moments for summary in pooled), Moments.empty(numeric.n_features))
    types = frozenset(summary.mixture.covariance_type for summary in pooled)
    target = _Target.of(moments, pooled_regularisation(pooled), types)
    return [
        *mixture_laws(numeric, condition_number, maximum_weight),
        *_moment_laws(numeric, target, "those of the window's blocks together"),
        *_level_laws(mixture, pooled_levels(pooled), "those of the window's blocks together"),
    ]


@dataclass(frozen=True)
class _Target:
    """Moments that a mixture must reproduce, and how far rounding can carry it from them.

    `types` are the covariance types of the mixtures that it was made of.
    """

    mean: Array
    covariance: Array
    regularisation: Array
    deviation: Array
    rounding: float
    types: frozenset[CovarianceType]

    @classmethod
    def of(
        cls,
        moments: Moments,
        regularisation: Array,
        types: frozenset[CovarianceType] = frozenset(),
    ) -> _Target:
        covariance = moments.covariance
        deviation = np.sqrt(np.diagonal(covariance))
        deviation = np.where(deviation > 0, deviation, np.finfo(np.float64).tiny)
        # A mean far from zero cannot be written down any finer than this, in standard deviations.
        rounding = 64 * _EPS * float((np.abs(moments.mean) / deviation).max())
        return cls(moments.mean, covariance, regularisation, deviation, rounding, types)


def mixture_laws(mixture: Mixture, condition_number: float, maximum_weight: float) -> list[Law]:
    """The laws of any mixture; the two numbers are upper bounds."""
    parts = (mixture.weights, mixture.means, mixture.covariances)
    laws = [
        Law(
            "weights_sum_to_one",
            "The weights of the components sum to one.",
            float(mixture.weights.sum()),
            1 - 1e-12,
            1 + 1e-12,
        ),
        Law(
            "parameters_finite",
            "Every weight, mean and covariance is a finite number (counted: those that are not).",
            float(sum(np.count_nonzero(~np.isfinite(part)) for part in parts)),
            upper=0,
        ),
        Law(
            "condition_number",
            "No component is nearly flat: its widest direction is not too many times its narrowest. "
            "Where a healthy stream fails, bring its features to like scales (transform or unit).",
            float(mixture.condition_numbers().max()),
            upper=condition_number,
        ),
    ]
    if mixture.n_components > 1:
        laws.append(
            Law(
                "largest_weight",
                "No single component holds nearly all rows.",
                float(mixture.weights.max()),
                upper=maximum_weight,
            )
        )
    return laws


def _moment_laws(mixture: Mixture, target: _Target, whose: str) -> list[Law]:
    off_mean = np.abs(mixture.mean() - target.mean) / target.deviation
    difference = mixture.covariance() - np.diag(target.regularisation) - target.covariance
    what, off_covariance = _off_covariance(
        difference, target.deviation, target.types | {mixture.covariance_type}
    )
    return [
        Law(
            "mean_preserved",
            f"The mixture's mean equals {whose} (largest difference, in standard deviations).",
            float(off_mean.max()),
            upper=_MEAN + target.rounding,
        ),
        Law(
            "covariance_preserved",
            f"The mixture's {what}, less the regularisation, equal{'s' * (what != 'variances')} {whose} "
            "(largest difference, in products of standard deviations).",
            float(off_covariance.max()),
            upper=_COVARIANCE + target.rounding,
        ),
    ]


def _level_laws(mixture: AnyMixture, levels: Sequence[LevelShares], whose: str) -> list[Law]:
    """The law of categorical features; none where there are none."""
    if not isinstance(mixture, MixedMixture):
        return []
    pairs = zip(mixture.level_shares(), levels, strict=True)
    off = max(float(np.abs(got - one.smoothed).max()) for got, one in pairs)
    says = (
        f"The mixture's shares of levels, less the smoothing, equal {whose} (largest difference)."
    )
    return [Law("level_shares_preserved", says, off, upper=_LEVELS)]


def _off_covariance(
    difference: Array, deviation: Array, types: frozenset[CovarianceType]
) -> tuple[str, Array]:
    """What fits and merges with these covariance types keep, and how far off that is."""
    if "spherical" in types:  # one variance a component can only keep the sum over the features
        total = np.trace(difference) / np.square(deviation).sum()
        return "total variance", np.abs(np.atleast_1d(total))
    relative = np.abs(difference) / np.outer(deviation, deviation)
    if "diag" in types:  # without covariances inside components there are only the variances
        return "variances", np.diagonal(relative)
    return "covariance", relative


def _range_law(summary: BlockSummary, target: _Target) -> Law:
    means = numeric_part(summary.mixture).means
    outside = np.maximum(summary.minimum - means, means - summary.maximum) / target.deviation
    return Law(
        "means_inside_range",
        "Every component's mean lies between the block's smallest and largest value of each feature "
        "(largest distance outside, in standard deviations).",
        float(max(outside.max(), 0.0)),
        upper=_RANGE + target.rounding,
    )
