"""Strategy: how a window's pooled components become k. One value, so that it can be declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gmm_core.errors import InvalidInput

__all__ = ["DEFAULT", "PRESETS", "Refinement", "Strategy", "strategy_of"]

Refinement = Literal["none", "soft", "hard"]


@dataclass(frozen=True)
class Strategy:
    """How pooled components are reduced to k, refined and polished (docs/decisions/0006).

    Parameters
    ----------
    criterion, search : of the reduction (`gmm_core.reduction.reduce`).
    refine : on the pooled components: "soft" (hierarchical EM), "hard" (composite transportation
        divergence), or "none".
    polish_points : parts that stand for the pooled components in the polish, at most; 0 for none.
        Where the blocks kept rows, the polish goes on with these.
    polish_width : share of its covariance that a component's points keep as their own, 0 to 1.
    steps, tol : of each of the two: steps at most, and the gain in nats below which they end.
    guard_points : fresh points that a move must convince; 0 accepts every move, which is for
        comparisons.
    guard_errors : by how many standard errors.

    Raises
    ------
    InvalidInput : a value is outside its bound. Criterion and search are checked by `reduce`.
    """

    criterion: str = "runnalls"
    search: str = "greedy"
    refine: Refinement = "hard"
    polish_points: int = 2_000
    polish_width: float = 0.1
    steps: int = 50
    tol: float = 1e-4
    guard_points: int = 2_000
    guard_errors: float = 1.0

    def __post_init__(self) -> None:
        checks = (
            ("refine", self.refine in get_args(Refinement), ", ".join(get_args(Refinement))),
            ("polish_points", self.polish_points >= 0, "0 or more"),
            ("polish_width", 0 <= self.polish_width < 1, "from 0 to below 1"),
            ("steps", self.steps >= 1, "1 or more"),
            ("tol", self.tol >= 0, "0 or more"),
            ("guard_points", self.guard_points >= 0, "0 or more"),
            ("guard_errors", self.guard_errors >= 0, "0 or more"),
        )
        for name, holds, bound in checks:
            if not holds:
                raise InvalidInput(name, got=getattr(self, name), bound=bound)

    @property
    def moves(self) -> bool:
        """Whether anything follows the reduction."""
        return self.refine != "none" or self.polish_points > 0


DEFAULT = Strategy()
PRESETS: dict[str, Strategy] = {
    "default": DEFAULT,
    "paper": Strategy(criterion="hotelling", refine="none", polish_points=0),
}


def strategy_of(strategy: Strategy | str) -> Strategy:
    """A strategy as it is, a preset by its name, or a plain reduction by that criterion.

    >>> strategy_of("hotelling") == strategy_of("paper")
    True
    """
    if isinstance(strategy, Strategy):
        return strategy
    return PRESETS.get(strategy) or Strategy(criterion=strategy, refine="none", polish_points=0)
