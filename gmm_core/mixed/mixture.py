"""MixedMixture: components that are Gaussian in some features and categorical in others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmm_core.arrays import Array, as_rows, content_hash
from gmm_core.errors import InvalidInput
from gmm_core.evaluation import in_chunks
from gmm_core.gaussian import CovarianceType, log_normalise
from gmm_core.mixed.levels import as_codes, as_tables, level_logs
from gmm_core.mixture import Mixture
from gmm_core.settings import check_settings, generator

__all__ = ["AnyMixture", "MixedMixture", "numeric_part"]

_SHOWN_COMPONENTS, _SHOWN_LEVELS = 8, 6


@dataclass(frozen=True, eq=False, repr=False)
class MixedMixture:
    """p(x, c) = sum_j w_j N(x; mu_j, S_j) prod_f P_jf[c_f]: features independent given the component.

    Rows are one matrix (n, d + q): the d numeric features, then the codes of the q categorical
    ones, 0 to m - 1. Equal by content, hashable, read-only.

    Parameters
    ----------
    numeric : weights of the k components, and their Gaussians: the mixture of the numeric features.
    level_probabilities : for each categorical feature (k, m): of its levels in each component; above
        0, rows sum to 1.

    Raises
    ------
    InvalidInput : a shape or a probability is wrong; the message says which.

    >>> pair = Mixture([0.25, 0.75], [[0.0], [4.0]], [[1.0], [1.0]], "diag")
    >>> MixedMixture(pair, [[[0.9, 0.1], [0.2, 0.8]]])
    MixedMixture(2 components, 1 numeric and 1 categorical feature, diag, ff8bc166)
      0  weight 0.25  mean 0  sd 1
         levels 0.9 0.1
      1  weight 0.75  mean 4  sd 1
         levels 0.2 0.8
    """

    numeric: Mixture
    level_probabilities: tuple[Array, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.numeric, Mixture):
            raise InvalidInput("numeric", got=type(self.numeric).__name__, bound="a Mixture")
        tables = as_tables(self.level_probabilities, self.numeric.n_components)
        object.__setattr__(self, "level_probabilities", tables)

    def log_joint(self, X: ArrayLike) -> Array:
        """(n, k) log of weight times density times probability of the levels, of rows X (n, d + q).

        Here and below, rows of another width, values that are not finite numbers and codes that are
        none raise `InvalidInput`.
        """
        return in_chunks(self._checked(X), self._log_joint)

    def log_prob(self, X: ArrayLike) -> Array:
        """(n,) log-density of the numeric features and probability of the levels, in nats.

        >>> one = MixedMixture(Mixture([1.0], [[0.0]], [1.0], "spherical"), [[[0.5, 0.5]]])
        >>> one.log_prob([[0.0, 1.0]]).round(3).tolist()
        [-1.612]
        """
        return in_chunks(self._checked(X), lambda part: log_normalise(self._log_joint(part))[0])

    def log_responsibilities(self, X: ArrayLike) -> Array:
        """(n, k) log of the probability that a component made the row."""
        return in_chunks(self._checked(X), lambda part: log_normalise(self._log_joint(part))[1])

    def responsibilities(self, X: ArrayLike) -> Array:
        """(n, k) probability that a component made the row; rows sum to 1.

        >>> same = Mixture([0.5, 0.5], [[0.0], [0.0]], [1.0, 1.0], "spherical")
        >>> mixed = MixedMixture(same, [[[0.75, 0.25], [0.25, 0.75]]])
        >>> mixed.responsibilities([[7.0, 0.0]]).round(12).tolist()
        [[0.75, 0.25]]
        """
        return np.exp(self.log_responsibilities(X))

    def component(self, X: ArrayLike) -> NDArray[np.int64]:
        """(n,) index of the most responsible component."""
        return in_chunks(
            self._checked(X), lambda part: self._log_joint(part).argmax(axis=1).astype(np.int64)
        )

    def density_and_component(self, X: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
        """`log_prob` and `component` of rows X (n, d + q), in one pass."""

        def both(part: Array) -> Array:
            logs = self._log_joint(part)
            return np.column_stack([log_normalise(logs)[0], logs.argmax(axis=1)])

        answers = in_chunks(self._checked(X), both)
        return answers[:, 0].copy(), answers[:, 1].astype(np.int64)

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> Array:
        """(n, d + q) rows drawn from the mixture; one seed, one outcome.

        Raises `InvalidInput` for what is no number of rows, or no seed.
        """
        check_settings({"n": n})
        rng = generator(seed)
        values = self.numeric.sample(n, rng)
        # Given its numbers, a row's component is distributed as the responsibilities say.
        component = _drawn(self.numeric.responsibilities(values), rng)
        codes = [_drawn(table[component], rng) for table in self.level_probabilities]
        return np.column_stack([values, *codes])

    def level_shares(self) -> tuple[Array, ...]:
        """(m,) probabilities of the levels in the whole mixture, for each categorical feature."""
        return tuple(self.weights @ table for table in self.level_probabilities)

    def given(self, levels: Mapping[int, int]) -> Mixture:
        """The mixture of the numeric features of rows with these levels: {categorical feature: code}.

        Weights are shared out anew by how probable each component makes the levels. Raises
        `InvalidInput` for a feature or a code that is not there.

        >>> same = Mixture([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0], "spherical")
        >>> MixedMixture(same, [[[0.75, 0.25], [0.25, 0.75]]]).given({0: 1}).mean().round(9).tolist()
        [0.75]
        """
        logs = np.log(self.weights)
        for feature, code in levels.items():
            if not (feature in range(self.n_categorical) and code in range(self.sizes[feature])):
                raise InvalidInput(
                    "level", got=(feature, code), bound=f"of features with {self.sizes} levels"
                )
            logs = logs + np.log(self.level_probabilities[feature][:, code])
        weights = np.exp(log_normalise(logs[None])[1][0])
        kept = np.flatnonzero(weights > 0)
        part, weights = self.numeric.picked(kept.tolist()), weights[kept]
        return Mixture(weights / weights.sum(), part.means, part.covariances, part.covariance_type)

    def as_type(self, covariance_type: CovarianceType) -> MixedMixture:
        """The same components with covariances of another type (`Mixture.as_type`)."""
        return MixedMixture(self.numeric.as_type(covariance_type), self.level_probabilities)

    def picked(self, components: Sequence[int]) -> MixedMixture:
        """These components alone, in the order given (`Mixture.picked`)."""
        numeric, index = self.numeric.picked(components), list(components)
        return MixedMixture(numeric, tuple(table[index] for table in self.level_probabilities))

    @property
    def weights(self) -> Array:
        """(k,)"""
        return self.numeric.weights

    @property
    def covariance_type(self) -> CovarianceType:
        """Of the numeric features."""
        return self.numeric.covariance_type

    @property
    def n_components(self) -> int:
        """k"""
        return self.numeric.n_components

    @property
    def n_features(self) -> int:
        """d + q"""
        return self.numeric.n_features + self.n_categorical

    @property
    def n_categorical(self) -> int:
        """q"""
        return len(self.level_probabilities)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Levels of each categorical feature."""
        return tuple(table.shape[1] for table in self.level_probabilities)

    def content_hash(self) -> str:
        """64 hex digits that identify the numeric mixture and the probabilities."""
        return content_hash("mixed", self.numeric.content_hash(), *self.level_probabilities)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MixedMixture):
            return NotImplemented
        return self.content_hash() == other.content_hash()

    def __hash__(self) -> int:
        return hash(self.content_hash())

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, so that the copy in another process is read-only too.
        return (MixedMixture, (self.numeric, self.level_probabilities))

    def __repr__(self) -> str:
        """The sizes and the hash, then each component's numbers and its levels' probabilities."""
        k, d, q = self.n_components, self.numeric.n_features, self.n_categorical
        components = repr(self.numeric).splitlines()[1:]
        lines = [
            f"MixedMixture({k} component{'s' * (k > 1)}, {d} numeric and {q} categorical "
            f"feature{'s' * (q > 1)}, {self.covariance_type}, {self.content_hash()[:8]})"
        ]
        for j in range(min(k, _SHOWN_COMPONENTS)):
            shown = ", ".join(_shown(table[j]) for table in self.level_probabilities)
            lines += [components[j], f"     levels {shown}"]
        return "\n".join(lines + components[_SHOWN_COMPONENTS:])

    @cached_property
    def _logs(self) -> Array:
        return np.log(np.concatenate(self.level_probabilities, axis=1))

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        rows = as_rows(X, self.n_features)
        as_codes(rows[:, self.numeric.n_features :], self.sizes)
        return rows

    def _log_joint(self, rows: Array) -> Array:
        """(m, k) for a chunk of checked rows (m, d + q)."""
        d = self.numeric.n_features
        numeric = self.numeric.log_joint(np.ascontiguousarray(rows[:, :d]))
        return numeric + level_logs(self._logs, as_codes(rows[:, d:], self.sizes))


AnyMixture = Mixture | MixedMixture


def numeric_part(mixture: AnyMixture) -> Mixture:
    """The mixture of the numeric features."""
    return mixture.numeric if isinstance(mixture, MixedMixture) else mixture


def _drawn(chances: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) an index for each row of probabilities (n, m)."""
    ends = np.cumsum(chances, axis=1)
    targets = rng.random(len(chances)) * ends[:, -1]  # the sum may round to less than 1
    index = np.minimum((ends <= targets[:, None]).sum(axis=1), chances.shape[1] - 1)
    return np.asarray(index, dtype=np.intp)


def _shown(probabilities: Array) -> str:
    shown = [f"{value:.4g}" for value in probabilities[:_SHOWN_LEVELS]]
    return " ".join(shown + ["…"] * (len(probabilities) > _SHOWN_LEVELS))
