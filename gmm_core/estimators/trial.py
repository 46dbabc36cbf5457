"""One start of an estimator: stops where scikit-learn stops, keeps the bounds, tells on request."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from gmm_core.fitting.loop import State, Task

__all__ = ["Trial", "iterations_of", "tell"]


@dataclass
class Trial:
    """A rule for the loop of EM (`gmm_core.fitting.loop`): an instance watches one start.

    scikit-learn compares the bounds *before* two M-steps in a row, and keeps the M-step that
    followed. Components placed anew put the end off.

    Parameters
    ----------
    number : of the start, for the messages.
    verbose : 0 tells nothing, 1 the iterations, more also times and changes.
    interval : iterations from one message to the next.
    previous : the bound before the first iteration; -inf unless a fit is gone on with.
    """

    number: int
    verbose: int = 0
    interval: int = 10
    previous: float = -math.inf
    bounds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self._told = time.perf_counter()
        if self.verbose:
            tell(f"Initialization {self.number}")

    @property
    def bound(self) -> float:
        """The last bound, in nats per row; -inf before the first."""
        return self.bounds[-1] if self.bounds else -math.inf

    def __call__(self, task: Task, before: State, after: State) -> State | None:
        # A density per standardised unit becomes one per unit of the caller by that unit's size.
        value = before.log_likelihood - task.rows.log_volume
        change, self.previous = value - self.previous, value
        self.bounds.append(value)
        self._tell_iteration(change)
        return after if abs(change) < task.tol else None

    def end(self, *, converged: bool) -> None:
        """Tell how it ended."""
        outcome = f"Initialization {'converged' if converged else 'did not converge'}."
        if self.verbose > 1:
            seconds = time.perf_counter() - self._began
            outcome += f" time lapse {seconds:.5f}s\t lower bound {self.bound:.5f}."
        if self.verbose:
            tell(outcome)

    def _tell_iteration(self, change: float) -> None:
        if not self.verbose or len(self.bounds) % self.interval:
            return
        message, now = f"  Iteration {len(self.bounds)}", time.perf_counter()
        if self.verbose > 1:
            message += f"\t time lapse {now - self._told:.5f}s\t ll change {change:.5f}"
        self._told = now
        tell(message)


def iterations_of(count: int) -> str:
    """A number of iterations in words.

    >>> iterations_of(1), iterations_of(2)
    ('1 iteration', '2 iterations')
    """
    return f"{count} iteration{'s' * (count != 1)}"


def tell(message: str) -> None:
    """Print, where `verbose` asks for it."""
    print(message)  # noqa: T201  (what `verbose` asks for)
