"""Choice of a window's k: by BIC or ICL, from the pooled components alone, steady from day to day.

The rows are gone, and the pooled mixture p stands for them: n of its rows would have the expected
log-likelihood n E_p[log q] under a mixture q of k components. It is estimated on points drawn from p,
as many from each component, the same for every k, so that differences between ks have little noise:

    bic(k) = free parameters * log n - 2 n E_p[log q_k]     Schwarz 1978
    icl(k) = bic(k) + 2 n E_p[entropy of responsibilities]  Biernacki, Celeux and Govaert 2000

A block fitted with too many components cuts its groups in pieces, anew in each block, and what a
greedy reduction makes of them at the right k falls short of what k components can do: k + 1 then seems
to pay. So each candidate is refined before it is scored.

Measured on 56 windows of ten blocks of 500 to 5,000 rows, true k 3 or 5 in 2, 4 or 10 features, least
distance of two means 2.5 to 4 deviations, blocks fitted with 2k: so BIC found k in all 56. Without
refinement it found 43, and more than k in the others. The bound
sum_j w_j log sum_c v_c exp(E_j[log q_c]) of E_p[log q], that hierarchical EM raises (Vasconcelos and
Lippman 1999, with one virtual sample a component), needs no points and found 45; it is loose where
components overlap, and chose fewer than k there, down to 1. ICL found 45 by points, by its own aim:
overlapping components are one group to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np

from gmm_core.arrays import Array, whole_numbers
from gmm_core.covariances.kind import CovarianceType
from gmm_core.criteria import free_parameters
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import kind_of, log_normalise
from gmm_core.mixed.levels import tables_of
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.reduction.mixed import MixedPool
from gmm_core.reduction.pool import Pool
from gmm_core.reduction.searches import nested
from gmm_core.refinement.parts import Model
from gmm_core.refinement.points import drawn
from gmm_core.refinement.window import refine
from gmm_core.strategy import DEFAULT, Strategy, strategy_of

__all__ = ["Choice", "ChoiceCriterion", "check_choice", "choose", "numbers_of"]

ChoiceCriterion = Literal["bic", "icl"]

_OWN = 1  # makes the points others than those that refinement draws
_FEWEST, _MOST = 2_000, 50_000  # points: as many as rows within these, so that chance adds little


@dataclass(frozen=True)
class Choice:
    """A number of components, and how it came about.

    Parameters
    ----------
    k : the choice.
    scores : of each candidate, in nats as BIC counts them, the smaller the better.
    kept : whether another k scored better than the previous one, but not by the margin.
    family : for each candidate the mixture that was scored: `reduce(pooled, k)`, or that refined.
    """

    k: int
    scores: dict[int, float]
    kept: bool
    family: Mapping[int, AnyMixture]


def choose(
    pooled: AnyMixture,
    ks: Iterable[int],
    rows: float,
    *,
    criterion: ChoiceCriterion = "bic",
    previous: int | None = None,
    margin: float = 1.0,
    strategy: Strategy | str = DEFAULT,
    covariance_type: CovarianceType | None = None,
    seed: int = 0,
) -> Choice:
    """The number of components that stand for a pooled mixture best, of equal ones the smallest.

    One greedy search gives the candidates (`nested`); each is refined as the strategy says, without
    its guard, before it is scored.

    Parameters
    ----------
    pooled : components of all blocks, weighted by rows.
    ks : candidates, from 1 to the components there are.
    rows : that the blocks had, above 1: what the criteria count.
    criterion : "bic", the k that describes the density; or "icl", groups that do not overlap.
    previous : k of the day before. It stays while it is a candidate, unless the best is better by
        more than `margin`.
    margin : 0 or more, in prices that BIC sets on one more component (its free parameters times log
        rows). Where two ks tie, chance moves the difference of their scores by about 2 sqrt(price),
        whatever the rows, so the unit means the same on small windows and on large ones. A margin in
        nats per row would be nothing on the former and a wall on the latter.
        On 21 windows of four blocks of 200 rows, each a day on, with two groups 3.2 to 3.5 deviations
        apart, k changed 4 to 10 times without a margin and at most twice with 1.
    strategy : as of `window_mixture`.
    covariance_type : of the candidates; `None` is that of `pooled`.
    seed : decides the points; the same seed, the same choice.

    Neither the order of the components nor features' units and offsets count. Other affine maps turn
    the points: the scores then change by what the points leave to chance.

    Raises
    ------
    InvalidInput : no candidates, one that is not possible, too few rows, or an unknown setting.

    >>> from gmm_core import Mixture
    >>> thrice = Mixture([1 / 6] * 6, [[0.0], [9.0]] * 3, [1.0] * 6, "spherical")
    >>> choose(thrice, range(1, 5), rows=1_000).k
    2
    """
    check_choice(criterion, previous, margin)
    if not 1 < rows < np.inf:
        raise InvalidInput(
            "rows", got=rows, bound="above 1", remedy="give the rows of all blocks together"
        )
    wanted = kind_of(covariance_type or pooled.covariance_type)
    own = _in_order(pooled.as_type(wanted.scatter_type))
    points = _points(own, rows, seed)
    family = {
        k: one.as_type(wanted.name) for k, one in _refined(own, ks, strategy_of(strategy), seed)
    }
    scores = {k: _score(points, one, rows, criterion) for k, one in family.items()}
    best = min(family, key=lambda k: (scores[k], k))
    if previous not in family or previous == best:
        return Choice(best, scores, False, family)
    d = numeric_part(own).n_features
    sizes = own.sizes if isinstance(own, MixedMixture) else ()
    one, two = (wanted.free_parameters(k, d, sizes) for k in (1, 2))
    price = (two - one) * np.log(rows)
    kept = scores[previous] - scores[best] <= margin * price
    return Choice(previous if kept else best, scores, bool(kept), family)


def numbers_of(ks: Any) -> list[int]:
    """Candidates in order, each once; raises `InvalidInput` when they are none or not whole numbers.

    >>> numbers_of(range(3, 1, -1))
    [2, 3]
    """
    try:
        numbers = sorted(set(whole_numbers(ks)))
    except TypeError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise InvalidInput(
            "numbers of components to choose from",
            got=ks,
            bound="whole numbers, 1 or more, at least one of them",
            remedy="give a range, as range(1, 9), or a list",
        )
    return numbers


def check_choice(criterion: Any, previous: Any = None, margin: float = 0.0) -> None:
    """Raises `InvalidInput` for a setting of `choose` that says nothing about components."""
    whole = isinstance(previous, Integral) and not isinstance(previous, bool)
    checks = (
        ("criterion of a choice", criterion, criterion in get_args(ChoiceCriterion), "bic, icl"),
        ("previous", previous, previous is None or whole, "a whole number, or None"),
        ("margin", margin, 0 <= margin < np.inf, "0 or more"),
    )
    for what, got, holds, bound in checks:
        if not holds:
            raise InvalidInput(what, got=got, bound=bound)


def _candidates(ks: Iterable[int], most: int) -> list[int]:
    numbers = numbers_of(ks)
    if numbers[-1] > most:
        raise InvalidInput(
            "components to choose",
            got=numbers[-1],
            bound=f"1 to {most}, the components there are",
            remedy="lower the range, pool more blocks, or fit them with more components",
        )
    return numbers


def _refined(
    pooled: AnyMixture, ks: Iterable[int], strategy: Strategy, seed: int
) -> Iterator[tuple[int, AnyMixture]]:
    """Each candidate and its mixture, refined where the strategy refines."""
    numbers = _candidates(ks, pooled.n_components)
    # The guard, in doubt, keeps what was there at one k and not at the next: that is not comparable.
    bold = replace(strategy, guard_points=0)
    found = nested(pooled, numbers, criterion=strategy.criterion, search=strategy.search)
    for k, reduced in found.items():
        yield k, refine(pooled, reduced, bold, seed)


def _in_order(pooled: AnyMixture) -> AnyMixture:
    """Its components in an order that depends on them alone."""
    if isinstance(pooled, MixedMixture):
        return MixedPool.of_mixed(pooled).mixed(pooled.sizes)
    return Pool.of(pooled).mixture()


def _points(pooled: AnyMixture, rows: float, seed: int) -> tuple[Array, Array]:
    """Points (n, d + q) of the pooled mixture, and their weights."""
    size = int(np.clip(rows, _FEWEST, _MOST))
    points = drawn(Model.of(pooled), size, np.random.default_rng([seed, _OWN]))
    if points.levels is None:
        return points.means, points.weights
    codes = [table.argmax(axis=1) for table in tables_of(points.levels, points.sizes)]
    return np.column_stack([points.means, *codes]), points.weights


def _score(
    points: tuple[Array, Array], mixture: AnyMixture, rows: float, criterion: ChoiceCriterion
) -> float:
    places, weights = points
    density, shares = log_normalise(mixture.log_joint(places))
    explained = float(weights @ density)
    if criterion == "icl":
        explained += float(weights @ (np.exp(shares) * shares).sum(axis=1))
    return free_parameters(mixture) * float(np.log(rows)) - 2 * rows * explained
