"""Drift: how far a block lies from a reference, whether that is unusual, and what moved.

How far: Jensen and Shannon's divergence between the block's mixture and the pooled mixtures of the
reference's blocks. Unusual is what the reference says: each of its own blocks is compared with the others
in the same way, and the block's divergence is judged by the middle and the spread of theirs. So weekdays
that differ from weekends raise nothing, and no threshold is in nats. An alarm goes up after some unusual
blocks in a row and comes down after some usual ones, with a gap between the two bounds: it does not flap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gmm_core.drift.divergences import Estimate, jensen_shannon
from gmm_core.drift.marginals import Marginal, marginals
from gmm_core.errors import InvalidInput
from gmm_core.health.changes import ComponentMove
from gmm_core.mixed.mixture import numeric_part
from gmm_core.pooling import pool
from gmm_core.summary import BlockSummary

__all__ = ["Alarm", "Band", "Drift", "FeatureShift", "drift_from", "feature_shifts", "in_words"]

_LEAST = 3  # blocks of a reference: of fewer there is no spread to speak of
_DRAWS = 2_048
_NORMAL = 1.4826  # standard deviations in a median absolute deviation, of a normal sample
_NOTABLE_SHIFT, _NOTABLE_MOVE = 0.1, 0.5


@dataclass(frozen=True)
class Band:
    """Where values usually lie: their median, and a spread that no single one of them decides.

    >>> band = Band.of([1.0, 1.1, 0.9, 1.0, 7.0])
    >>> round(band.score(1.0), 3), band.score(3.0) > 10
    (0.0, True)
    """

    centre: float
    spread: float

    @classmethod
    def of(cls, values: Iterable[float], error: float = 0.0) -> Band:
        """Of values and what each of them may be off by; raises `InvalidInput` for no values.

        The spread is 1.4826 times the median absolute deviation, together with the error.
        """
        array = np.array(list(values), np.float64)
        if not len(array) or not np.isfinite(array).all():
            raise InvalidInput("values of a band", got=array.tolist(), bound="one or more, finite")
        centre = float(np.median(array))
        spread = float(np.hypot(_NORMAL * np.median(np.abs(array - centre)), error))
        return cls(centre, max(spread, 1e-12))

    def score(self, value: float) -> float:
        """How many spreads a value lies above the middle; below 0 where it lies under it."""
        return (value - self.centre) / self.spread


@dataclass(frozen=True)
class Alarm:
    """An alarm with hysteresis. `run` counts the blocks in a row that ask for the other state.

    >>> alarm, seen = Alarm(), []
    >>> for score in (9, 9, 3, 1, 1):
    ...     alarm = alarm.after(score, enter=4, leave=2, patience=2)
    ...     seen.append(alarm.up)
    >>> seen
    [False, True, True, True, False]
    """

    up: bool = False
    run: int = 0

    def after(self, score: float, *, enter: float, leave: float, patience: int) -> Alarm:
        """The alarm after one more block.

        It goes up after `patience` scores in a row above `enter`, and down after as many below `leave`.
        Raises `InvalidInput` unless leave <= enter and patience is 1 or more.
        """
        if not leave <= enter or patience < 1:
            raise InvalidInput(
                "bounds of an alarm",
                got=(enter, leave, patience),
                bound="leave at most enter, patience 1 or more",
            )
        asked = score < leave if self.up else score > enter
        run = self.run + 1 if asked else 0
        return Alarm(not self.up, 0) if run >= patience else Alarm(self.up, run)


@dataclass(frozen=True)
class FeatureShift:
    """How a feature's distribution differs from the reference's.

    Parameters
    ----------
    distance : largest difference of the distribution functions; of levels, half the sum of the
        differences of their shares. 0 to 1.
    error : standard error of the distance, as if rows were independent of one another.
    mean_shift : of the means, in deviations of the reference; 0 for levels.
    spread_ratio : of the deviations, now to reference; 1 for levels.
    level : the level whose share moved most; empty for a numeric feature.
    score : how many spreads the distance lies above what is usual inside the reference; `None` where
        that is not known.
    """

    feature: str
    distance: float
    error: float
    mean_shift: float = 0.0
    spread_ratio: float = 1.0
    level: str = ""
    score: float | None = None

    def in_words(self) -> str:
        """As a clause for people."""
        far = f"{self.distance:.0%} ± {self.error:.0%}"
        if self.level:
            return f"{self.feature}: the share of {self.level} changed most ({far} moved)"
        way = "up" if self.mean_shift > 0 else "down"
        parts = [f"{self.feature} went {way} by {abs(self.mean_shift):.2g} deviations"]
        if not 0.8 < self.spread_ratio < 1.25:
            parts.append(f"its spread is {self.spread_ratio:.2g} times as large")
        return f"{' and '.join(parts)} (distributions differ by {far})"


@dataclass(frozen=True)
class Drift:
    """A block beside a reference.

    Parameters
    ----------
    divergence : Jensen and Shannon's, in nats.
    score : how many spreads it lies above what is usual inside the reference; `None` where the
        reference has too few blocks to say.
    features : shifts, the largest first.
    """

    divergence: Estimate
    score: float | None
    features: tuple[FeatureShift, ...]


def drift_from(
    reference: Sequence[BlockSummary], block: BlockSummary, draws: int = _DRAWS, seed: int = 0
) -> Drift:
    """How far a block lies from the blocks of a reference, which it must not be one of.

    Raises `InvalidInput` for no blocks, blocks of different streams or features, or a block of the
    reference itself.
    """
    if block.key in {one.key for one in reference}:
        raise InvalidInput(
            "a block of its own reference", got=block.key, bound="a block that the reference lacks"
        )
    found = jensen_shannon(pool(reference), block.mixture, draws, seed)
    score = None
    if len(reference) >= _LEAST:
        own = [_to_the_others(reference, at, draws, seed) for at in range(len(reference))]
        score = _band(own).score(found.value)
    shifts = feature_shifts(reference, block)
    return Drift(found, score, tuple(sorted(shifts, key=lambda one: -one.distance)))


def feature_shifts(reference: Sequence[BlockSummary], block: BlockSummary) -> list[FeatureShift]:
    """A block beside the pooled blocks of a reference, feature by feature, in the features' order: marginals
    alone, so what moved *together* is not seen.
    """
    before, now = (numeric_part(one) for one in (pool(reference), block.mixture))
    deviations = [np.sqrt(np.diagonal(one.covariance())) for one in (before, now)]
    steps = (now.mean() - before.mean()) / deviations[0]
    return [
        _shift(found, float(steps[at]), float(deviations[1][at] / deviations[0][at]))
        if found.numeric
        else _shift(found)
        for at, found in enumerate(marginals([*reference, block]))
    ]


def _shift(found: Marginal, step: float = 0.0, ratio: float = 1.0) -> FeatureShift:
    """Of the last block from the others; and from what is usual among these, where they are enough."""
    reference, now, rows = found.first(len(found.rows) - 1), found.table[-1], found.rows[-1]
    pooled, many = reference.pooled()
    distance, score = found.distance(pooled, now), None
    if len(reference.rows) >= _LEAST:
        own = []
        for at, one in enumerate(reference.table):
            others, theirs = reference.pooled(without=at)
            error = found.error(others, one, theirs, float(reference.rows[at]))
            own.append(Estimate(found.distance(others, one), error))
        score = _band(own).score(distance)
    names = found.feature.level_names
    level = "" if found.numeric else names[int(np.abs(now - pooled).argmax())]
    error = found.error(pooled, now, many, float(rows))
    return FeatureShift(found.feature.name, distance, error, step, ratio, level, score)


def in_words(drift: Drift, moves: Sequence[ComponentMove] = ()) -> list[str]:
    """Which features and components moved, as sentences; none where nothing notable did."""
    lines = [f"{one.in_words()}." for one in drift.features if one.distance > _NOTABLE_SHIFT]
    for move in moves:
        name = f"Component {move.component_id}"
        if move.before == 0:
            lines.append(f"{name} is new, with {move.now:.0%} of the rows.")
        elif move.now == 0:
            lines.append(f"{name} is gone; it had {move.before:.0%} of the rows.")
        elif move.distance is not None and move.distance > _NOTABLE_MOVE:
            lines.append(
                f"{name} moved by {move.distance:.2g} of its own deviations; "
                f"its weight went from {move.before:.0%} to {move.now:.0%}."
            )
    return lines


def _to_the_others(reference: Sequence[BlockSummary], at: int, draws: int, seed: int) -> Estimate:
    others = [one for index, one in enumerate(reference) if index != at]
    return jensen_shannon(pool(others), reference[at].mixture, draws, seed)


def _band(usual: Sequence[Estimate]) -> Band:
    error = float(np.sqrt(np.mean([one.error**2 for one in usual])))
    return Band.of([one.value for one in usual], error)
