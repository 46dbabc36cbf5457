"""Block summary: all that the window needs of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gmm_core.arrays import Array, content_hash, frozen_array
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature, categorical_of, numeric_of
from gmm_core.mixed.levels import LevelShares
from gmm_core.mixed.mixture import AnyMixture, MixedMixture
from gmm_core.moments import Moments

__all__ = ["BlockSummary", "FitReport", "check_levels"]


@dataclass(frozen=True)
class FitReport:
    """How a fit went.

    Parameters
    ----------
    status : a sentence for people.
    converged : whether the gain fell below the tolerance, or was foreseen to.
    iterations : of the start that won.
    log_likelihood : mean nats per row.
    restarts : starts that were tried.
    reseeded : empty components that were placed anew in the start that won.
    seconds : wall time of all starts.
    """

    status: str
    converged: bool
    iterations: int
    log_likelihood: float
    restarts: int
    reseeded: int
    seconds: float


@dataclass(frozen=True, eq=False)
class BlockSummary:
    """Block mixture, exact moments, range, fit report and digests of one block. Equal by content.

    Parameters
    ----------
    stream, key : name of the stream, block key.
    features : the d numeric features, in the order of every array, then the categorical ones.
    mixture : the block mixture, in feature space; a `MixedMixture` where features are categorical.
    moments : of the block's rows, in feature space, as all here: of the numeric features.
    minimum, maximum : (d,) in feature space.
    regularisation : (d,) variance that the fit added: the mixture's covariance less this on its
        diagonal is the block's own.
    fit : how the fit went.
    input_digest, fit_fingerprint : what was fitted, and with which settings.
    levels : for each categorical feature the shares of its levels, and what the fit added to them.
    coreset : (m, d) some of the block's rows, a uniform sample (`gmm_core.coreset`); empty unless
        asked for.
    """

    stream: str
    key: str
    features: tuple[Feature, ...]
    mixture: AnyMixture
    moments: Moments
    minimum: Array
    maximum: Array
    regularisation: Array
    fit: FitReport
    input_digest: str
    fit_fingerprint: str
    levels: tuple[LevelShares, ...] = ()
    coreset: Array = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "levels", tuple(self.levels))
        d = len(numeric_of(self.features))
        if self.mixture.n_features != len(self.features) or self.moments.n_features != d:
            raise InvalidInput(
                "features, mixture and moments of a block summary disagree",
                got=(len(self.features), self.mixture.n_features, self.moments.n_features),
                bound="the same number of features",
            )
        check_levels(self.features, self.mixture)
        sizes = tuple(len(one.shares) for one in self.levels)
        wanted = tuple(len(one.level_names) for one in categorical_of(self.features))
        if sizes != wanted:
            raise InvalidInput("levels of a block summary", got=sizes, bound=str(wanted))
        for name in ("minimum", "maximum", "regularisation"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (d,)))
        kept = self.coreset if np.size(self.coreset) else np.empty((0, d))
        object.__setattr__(self, "coreset", frozen_array(kept, "coreset", ("rows", d)))
        if (self.regularisation < 0).any():
            raise InvalidInput(
                "regularisation", got=self.regularisation.tolist(), bound="0 or more"
            )
        if self.moments.weight <= 0:
            raise InvalidInput(
                "a block summary needs rows", got=self.moments.weight, bound="above 0"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlockSummary):
            return NotImplemented
        return self.digest == other.digest and self.fit == other.fit

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def rows(self) -> int:
        """Rows the block mixture was fitted to."""
        return round(self.moments.weight)

    @cached_property
    def digest(self) -> str:
        """64 hex digits that identify the content; how many seconds the fit took does not count."""
        fit = self.fit
        names = tuple((f.name, f.levels if f.categorical else f.transform) for f in self.features)
        shares = (part for one in self.levels for part in (one.shares, one.added))
        kept = (self.coreset,) if len(self.coreset) else ()  # none: the digest of former releases
        return content_hash(
            "block summary", self.stream, self.key, names,
            self.mixture.content_hash(), self.moments.weight, self.moments.mean,
            self.moments.scatter, self.minimum, self.maximum, self.regularisation,
            fit.status, fit.converged, fit.iterations, float(fit.log_likelihood), fit.restarts,
            fit.reseeded, self.input_digest, self.fit_fingerprint, *shares, *kept,
        )  # fmt: skip


def check_levels(features: Sequence[Feature], mixture: AnyMixture) -> None:
    """Raises `InvalidInput` unless a mixture has the categorical features, and levels, declared."""
    wanted = tuple(len(feature.level_names) for feature in categorical_of(features))
    got = mixture.sizes if isinstance(mixture, MixedMixture) else ()
    if got != wanted:
        raise InvalidInput(
            "levels of the categorical features of a mixture", got=got, bound=str(wanted)
        )


def common_features(summaries: Sequence[BlockSummary]) -> tuple[Feature, ...]:
    """The features of all summaries; raises `InvalidInput` when they differ, or for none."""
    if not summaries:
        raise InvalidInput("no block summaries given", got=0, bound="at least 1")
    first = summaries[0]
    for other in summaries[1:]:
        for name, a, b in (
            ("stream", first.stream, other.stream),
            ("features", first.features, other.features),
        ):
            if a != b:
                raise InvalidInput(
                    f"block summaries {first.key!r} and {other.key!r} differ in {name}",
                    got=b,
                    bound=str(a),
                    remedy="fit the blocks again with one stream file",
                )
    return first.features


def rows_share(summaries: Sequence[BlockSummary]) -> Array:
    """(b,) share of each block in the rows of all."""
    weights = np.array([summary.moments.weight for summary in summaries])
    share: Array = weights / weights.sum()
    return share
