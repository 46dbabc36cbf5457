"""Labels: ids of components that persist from one window mixture to the next.

A component is the same as one of the mixture before when it lies where that one lay. How far two lie
apart is told by the Bhattacharyya distance of their Gaussians, -log of the integral of sqrt(f g) (in
nats; Hellinger's is sqrt(1 - exp(-distance))), which no invertible affine map of the features changes.
Weights do not count: a component that grows stays itself. Components are paired so that the sum of the
distances is least (Kuhn 1955); a pair further apart than `FAR` is a death and a birth.
Levels of categorical features count by the same distance, added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import kind_of
from gmm_core.mixed.mixture import AnyMixture, MixedMixture, numeric_part
from gmm_core.mixture import Mixture

__all__ = ["FAR", "Labels", "component_distances", "first_labels", "relabel"]

# The densities overlap by one half; of equal covariance, 2.35 standard deviations between the means.
FAR = float(np.log(2))


@dataclass(frozen=True)
class Labels:
    """The ids of a mixture's components. No id is ever given twice.

    Parameters
    ----------
    ids : one per component, in the mixture's order; distinct, 0 or more.
    next_id : what the next component to be born will be called; above all ids.
    born : those of `ids` that the mixture before did not have.
    died : ids of the mixture before that this one does not have.

    Raises `InvalidInput` for ids that are not distinct whole numbers from 0 to `next_id` - 1.

    >>> Labels((4, 2), next_id=5, born=(4,), died=(3,)).kept
    (2,)
    """

    ids: tuple[int, ...]
    next_id: int
    born: tuple[int, ...] = ()
    died: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(int(one) for one in self.ids))
        distinct = set(self.ids)
        if len(distinct) < len(self.ids) or not distinct <= set(range(self.next_id)):
            raise InvalidInput(
                "ids of components",
                got=self.ids,
                bound=f"different whole numbers from 0 to {self.next_id - 1}",
            )

    @property
    def kept(self) -> tuple[int, ...]:
        """Ids that the mixture before had as well, in this mixture's order."""
        return tuple(one for one in self.ids if one not in self.born)


def first_labels(mixture: AnyMixture, next_id: int = 0) -> Labels:
    """Labels of a mixture without one before it: all are born, the largest first.

    >>> first_labels(Mixture([0.3, 0.7], [[0.0], [9.0]], [1.0, 1.0], "spherical"))
    Labels(ids=(1, 0), next_id=2, born=(0, 1), died=())
    """
    ids = dict(zip(_order(mixture), range(next_id, next_id + mixture.n_components), strict=True))
    return _labels(mixture, ids, (), next_id)


def relabel(
    previous: AnyMixture,
    previous_labels: Labels,
    current: AnyMixture,
    *,
    later: tuple[AnyMixture, Labels] | None = None,
) -> Labels:
    """Labels of `current` that go on from those of `previous`.

    Permuted components get permuted ids, the same mixture the same ids, and an affine map of both
    mixtures changes nothing. Births are numbered by weight, the largest first.

    Parameters
    ----------
    later : a mixture that follows `current` and was labelled before it, or that it replaces, with its
        labels. A component born here that is there already takes the id it has there.

    Raises `InvalidInput` for mixtures of different features, or labels of another mixture.

    >>> before = Mixture([0.5, 0.5], [[0.0], [9.0]], [1.0, 1.0], "spherical")
    >>> now = Mixture([0.4, 0.3, 0.3], [[9.1], [20.0], [0.2]], [1.0] * 3, "spherical")
    >>> labels = relabel(before, first_labels(before), now)
    >>> labels.ids, labels.born, labels.died
    ((1, 2, 0), (2,), ())
    """
    ids = _matched(previous, previous_labels, current, frozenset(), _order(current))
    next_id = previous_labels.next_id
    if later is not None:
        left = [index for index in _order(current) if index not in ids]
        ids |= _matched(*later, current, frozenset(previous_labels.ids), left)
        next_id = max(next_id, later[1].next_id)
    new = [index for index in _order(current) if index not in ids]
    ids |= dict(zip(new, range(next_id, next_id + len(new)), strict=True))
    return _labels(current, ids, previous_labels.ids, next_id)


def component_distances(a: AnyMixture, b: AnyMixture) -> Array:
    """(k_a, k_b) Bhattacharyya distances between the components' Gaussians, in nats.

    Raises `InvalidInput` for mixtures of different numbers of features.

    >>> near, far = (Mixture([1.0], [[x]], [1.0], "spherical") for x in (0.0, 4.0))
    >>> component_distances(near, far).tolist()
    [[2.0]]
    """
    mine, theirs = ((numeric_part(one).n_features, *_sizes(one)) for one in (a, b))
    if mine != theirs:
        raise InvalidInput(
            "mixtures of different features", got=b.n_features, bound=f"{a.n_features} features"
        )
    return _numeric_distances(numeric_part(a), numeric_part(b)) + _level_distances(a, b)


def _numeric_distances(a: Mixture, b: Mixture) -> Array:
    full, (k, d) = kind_of("full"), b.means.shape
    covariances, others = a.full_covariances(), b.full_covariances()
    size, other_sizes = (
        _log_whitening(full.whiteners(s, len(s), d)) for s in (covariances, others)
    )
    distances = np.empty((len(covariances), k))
    for row, covariance in enumerate(covariances):
        between = full.whiteners((covariance + others) / 2, k, d)
        apart = full.squared_length(b.means - a.means[row], between)
        distances[row] = apart / 8 + (size[row] + other_sizes) / 2 - _log_whitening(between)
    return np.maximum(distances, 0.0)  # rounding can take that of equal components below


def _level_distances(a: AnyMixture, b: AnyMixture) -> Array | float:
    """(k_a, k_b) what levels add: -log sum sqrt(p q), feature by feature."""
    if not isinstance(a, MixedMixture) or not isinstance(b, MixedMixture):
        return 0.0
    pairs = zip(a.level_probabilities, b.level_probabilities, strict=True)
    overlaps = [np.sqrt(mine) @ np.sqrt(theirs).T for mine, theirs in pairs]
    distances: Array = -np.log(overlaps).sum(axis=0)
    return np.maximum(distances, 0.0)


def _log_whitening(whiteners: Array) -> Array:
    """Minus half the log-determinant of each covariance."""
    logs: Array = np.log(np.diagonal(whiteners, axis1=1, axis2=2)).sum(axis=1)
    return logs


def _sizes(mixture: AnyMixture) -> tuple[int, ...]:
    return mixture.sizes if isinstance(mixture, MixedMixture) else ()


def _order(mixture: AnyMixture) -> list[int]:
    """Components by weight, the largest first, then by mean: an order of their own."""
    order: NDArray[np.intp] = np.lexsort((*numeric_part(mixture).means.T[::-1], -mixture.weights))
    return [int(index) for index in order]


def _matched(
    known: AnyMixture,
    labels: Labels,
    current: AnyMixture,
    taken: frozenset[int],
    wanted: Sequence[int],
) -> dict[int, int]:
    """Ids by component of `current`, for those of `wanted` that lie near one of `known`."""
    from scipy.optimize import linear_sum_assignment

    if len(labels.ids) != known.n_components:
        raise InvalidInput(
            "labels of another mixture", got=len(labels.ids), bound=f"{known.n_components} ids"
        )
    free = [index for index in _order(known) if labels.ids[index] not in taken]
    # All that is far is equally far: a pair that will not stand must not cost another its place.
    distances = np.minimum(component_distances(known, current)[np.ix_(free, wanted)], FAR)
    rows, columns = linear_sum_assignment(distances)
    return {
        wanted[column]: labels.ids[free[row]]
        for row, column in zip(rows, columns, strict=True)
        if distances[row, column] < FAR
    }


def _labels(
    mixture: AnyMixture, ids: dict[int, int], before: Sequence[int], next_id: int
) -> Labels:
    own = tuple(ids[index] for index in range(mixture.n_components))
    born, died = sorted(set(own).difference(before)), sorted(set(before).difference(own))
    return Labels(own, max(next_id, max(own) + 1), tuple(born), tuple(died))
