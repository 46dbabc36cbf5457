"""Changes of a mixture: what a fit reports, and what became of the components of the one before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmm_core.errors import InvalidInput
from gmm_core.gaussian import kind_of
from gmm_core.health.shape import shape
from gmm_core.mixed.mixture import AnyMixture, numeric_part
from gmm_core.model import DensityModel
from gmm_core.summary import BlockSummary

__all__ = [
    "ComponentMove",
    "block_measures",
    "component_moves",
    "likelihood_scale",
    "move_measures",
]

# Entropy of a standard normal feature: what one feature's worth of log-likelihood is, in any unit.
_ENTROPY = 0.5 * float(np.log(2 * np.pi * np.e))


def likelihood_scale(n_features: int) -> float:
    """Nats that a change of log-likelihood is a share of: the entropy of so many standard normals.

    A log-density is per unit, so a percentage of it means nothing: in cents it is another one than in
    dollars. Its changes have no unit, and this is a size that they can be compared with.

    >>> round(likelihood_scale(2), 3)
    2.838
    """
    return n_features * _ENTROPY


def block_measures(summary: BlockSummary) -> dict[str, float]:
    """Measures of a block's fit and of its mixture, by name (`gmm_core.health.catalogue`)."""
    fit = summary.fit
    return {
        "log_likelihood": float(fit.log_likelihood),
        "iterations": float(fit.iterations),
        "fit_seconds": float(fit.seconds),
        "converged": float(fit.converged),
        "reseeded_components": float(fit.reseeded),
        **shape(summary.mixture, summary.moments.weight),
    }


@dataclass(frozen=True)
class ComponentMove:
    """What became of a component from one version to the next.

    Parameters
    ----------
    component_id : that it keeps.
    distance : between the means, in the component's own spread before (Mahalanobis); none for one that
        was born or has died.
    before, now : weights, 0 where it was not there.
    """

    component_id: int
    distance: float | None
    before: float
    now: float


def component_moves(before: DensityModel, now: DensityModel) -> list[ComponentMove]:
    """Every component of either version by id; raises `InvalidInput` for other features."""
    if before.features != now.features:
        raise InvalidInput(
            "versions of different features",
            got=list(now.feature_names),
            bound=str(list(before.feature_names)),
        )
    places = [{one: at for at, one in enumerate(model.component_ids)} for model in (before, now)]
    old, new = numeric_part(before.mixture), numeric_part(now.mixture)
    full, moves = kind_of("full"), []
    for component in sorted({*places[0], *places[1]}):
        i, j = (place.get(component) for place in places)
        distance = None
        if i is not None and j is not None:
            whitener = full.whiteners(old.full_covariances()[i : i + 1], 1, old.n_features)
            step = new.means[j : j + 1] - old.means[i : i + 1]
            distance = float(np.sqrt(full.squared_length(step, whitener)[0]))
        moves.append(
            ComponentMove(component, distance, _weight(before.mixture, i), _weight(now.mixture, j))
        )
    return moves


def move_measures(moves: list[ComponentMove]) -> dict[str, float]:
    """Measures of the moves, by name (`gmm_core.health.catalogue`)."""
    kept = [(move.distance, move.now) for move in moves if move.distance is not None]
    known = sum(move.before > 0 for move in moves)
    weight = sum(share for _, share in kept)
    return {
        "components_born": float(sum(move.before == 0 for move in moves)),
        "components_died": float(sum(move.now == 0 for move in moves)),
        "component_stability": len(kept) / known if known else 1.0,
        "centroid_drift": sum(d * share for d, share in kept) / weight if kept else 0.0,
        "largest_centroid_move": max((d for d, _ in kept), default=0.0),
    }


def _weight(mixture: AnyMixture, place: int | None) -> float:
    return 0.0 if place is None else float(mixture.weights[place])
