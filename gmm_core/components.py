"""Components: weights, means and covariances as a checked, read-only value.

`Mixture` adds what the density that they describe can answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array, content_hash, frozen_array, whole_numbers
from gmm_core.errors import InvalidInput
from gmm_core.gaussian import CovarianceKind, CovarianceType, kind_of

__all__ = ["Components"]

_SUM_SLACK = 1e-9
_SYMMETRY_SLACK = 1e-9
_SHOWN_COMPONENTS, _SHOWN_FEATURES = 8, 6


@dataclass(frozen=True, eq=False, repr=False)
class Components:
    """The parameters of a mixture: equal by content, hashable, read-only, checked when made.

    Parameters and errors are those of `Mixture`.
    """

    weights: Array
    means: Array
    covariances: Array
    covariance_type: CovarianceType = "full"

    def __post_init__(self) -> None:
        kind = kind_of(self.covariance_type)
        means = frozen_array(self.means, "means", ("k", "d"))
        k, d = means.shape
        if k == 0 or d == 0:
            raise InvalidInput(
                "a mixture needs components and features", got=(k, d), bound="at least (1, 1)"
            )
        weights = frozen_array(self.weights, "weights", (k,))
        covariances = frozen_array(self.covariances, "covariances", kind.shape(k, d))
        if (weights <= 0).any():
            first = int((weights <= 0).argmax())
            raise InvalidInput(
                f"weights of a mixture: that of component {first}",
                got=float(weights[first]),
                bound="every weight above 0",
                remedy="leave out components without weight",
            )
        if abs(weights.sum() - 1) > _SUM_SLACK:
            raise InvalidInput(
                "weights of a mixture do not sum to one",
                got=float(weights.sum()),
                bound="1",
                remedy="divide them by their sum",
            )
        if kind.asymmetry(covariances) > _SYMMETRY_SLACK:
            raise InvalidInput(
                "a covariance is not symmetric: the largest relative difference from its transpose",
                got=kind.asymmetry(covariances),
                bound=f"at most {_SYMMETRY_SLACK}",
                remedy="take the mean of each covariance and its transpose",
            )
        for name, value in (("weights", weights), ("means", means), ("covariances", covariances)):
            object.__setattr__(self, name, value)
        _ = self.whiteners  # raises when a covariance is not positive definite

    def __reduce__(self) -> tuple[Any, ...]:
        # Rebuilt through the constructor, so that the copy in another process is read-only too.
        return (type(self), (self.weights, self.means, self.covariances, self.covariance_type))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Components):
            return NotImplemented
        return self.content_hash() == other.content_hash()

    def __hash__(self) -> int:
        return hash(self.content_hash())

    def __repr__(self) -> str:
        """The sizes and the hash, then a line per component: weight, means and deviations."""
        k, deviations = self.n_components, self.standard_deviations()
        lines = [
            f"{type(self).__name__}({k} component{'s' * (k > 1)}, {self.n_features} "
            f"feature{'s' * (self.n_features > 1)}, {self.covariance_type}, "
            f"{self.content_hash()[:8]})"
        ]
        shown = range(min(k, _SHOWN_COMPONENTS))
        parts = [
            (f"{self.weights[j]:.4g}", _numbers(self.means[j]), _numbers(deviations[j]))
            for j in shown
        ]
        weight, mean, _ = (max(map(len, column)) for column in zip(*parts, strict=True))
        for j, part in zip(shown, parts, strict=True):
            lines.append(f"  {j}  weight {part[0]:<{weight}}  mean {part[1]:<{mean}}  sd {part[2]}")
        if k > _SHOWN_COMPONENTS:
            lines.append(f"  ... and {k - _SHOWN_COMPONENTS} more")
        return "\n".join(lines)

    @property
    def n_components(self) -> int:
        """k"""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """d"""
        return int(self.means.shape[1])

    @property
    def kind(self) -> CovarianceKind:
        """How the covariances are stored and computed with."""
        return kind_of(self.covariance_type)

    @cached_property
    def whiteners(self) -> Array:
        """(k, d, d) lower triangular W with W S W' = I, or (k, d) reciprocal deviations.

        >>> Components([1.0], [[0.0]], [4.0], "spherical").whiteners.tolist()
        [[0.5]]
        """
        whiteners = self.kind.whiteners(self.covariances, *self.means.shape).view()
        whiteners.flags.writeable = False
        return whiteners

    def full_covariances(self) -> Array:
        """(k, d, d), read-only, whatever the covariance type.

        >>> Components([1.0], [[0.0, 0.0]], [4.0], "spherical").full_covariances().tolist()
        [[[4.0, 0.0], [0.0, 4.0]]]
        """
        full = self.kind.full(self.covariances, *self.means.shape).view()
        full.flags.writeable = False
        return full

    def as_type(self, covariance_type: CovarianceType) -> Self:
        """The same weights and means with covariances of another type.

        To "full" nothing is lost. To "tied" every component gets their weighted mean, which keeps
        the covariance of the whole mixture; to "diag" the variances stay; to "spherical" each
        component's mean variance. Raises `InvalidInput` for an unknown type.

        >>> Components([0.5, 0.5], [[0.0], [1.0]], [[1.0], [3.0]], "diag").as_type("tied").covariances
        array([[2.]])
        """
        kind = kind_of(covariance_type)
        if kind is self.kind:
            return self
        covariances = kind.of_full(self.full_covariances(), self.weights)
        return type(self)(self.weights, self.means, covariances, covariance_type)

    def picked(self, components: Sequence[int]) -> Self:
        """These components alone, in the order given, their weights divided by their sum.

        Raises `InvalidInput` for no components, or one that is negative or too large.

        >>> Components([0.2, 0.2, 0.6], [[0.0], [1.0], [2.0]], [1.0] * 3, "spherical").picked([1, 0])
        Components(2 components, 1 feature, spherical, d35e24d9)
          0  weight 0.5  mean 1  sd 1
          1  weight 0.5  mean 0  sd 1
        """
        index = self._numbers(components)
        weights = self.weights[index]
        covariances = self.kind.picked(self.covariances, index)
        return type(self)(
            weights / weights.sum(), self.means[index], covariances, self.covariance_type
        )

    def _numbers(self, components: Sequence[int]) -> NDArray[np.intp]:
        try:
            numbers = whole_numbers(components)
        except TypeError:
            numbers = []
        if not numbers or not all(0 <= number < self.n_components for number in numbers):
            raise InvalidInput(
                "components of a mixture",
                got=components,
                bound=f"one or more whole numbers from 0 to {self.n_components - 1}",
            )
        return np.array(numbers, dtype=np.intp)

    def standard_deviations(self) -> Array:
        """(k, d) of each feature in each component, in the features' units.

        >>> Components([1.0], [[0.0, 0.0]], [[4.0, 9.0]], "diag").standard_deviations().tolist()
        [[2.0, 3.0]]
        """
        return np.sqrt(self.kind.variances(self.covariances, *self.means.shape))

    def condition_numbers(self) -> Array:
        """(k,) largest over smallest eigenvalue of each covariance.

        >>> Components([1.0], [[0.0, 0.0]], [[4.0, 1.0]], "diag").condition_numbers().tolist()
        [4.0]
        """
        return self.kind.condition_numbers(self.covariances, *self.means.shape)

    def content_hash(self) -> str:
        """64 hex digits that identify weights, means, covariances and their type.

        >>> Components([1.0], [[0.0]], [1.0], "spherical").content_hash()[:8]
        '59a0a025'
        """
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        return content_hash(
            "mixture", self.covariance_type, self.weights, self.means, self.covariances
        )


def _numbers(values: Array) -> str:
    shown = [f"{value:.4g}" for value in values[:_SHOWN_FEATURES]]
    if len(values) > _SHOWN_FEATURES:
        shown.append("…")
    return shown[0] if len(values) == 1 else f"({', '.join(shown)})"
