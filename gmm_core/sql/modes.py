"""Mode-specific normalisation of columns, as steps of SQL expressions.

A step names expressions over the columns of the step before, which all stay. Engines then compute
what several expressions share once: a step is a projection, or a nested SELECT. Expressions take
NULL for a missing value and give NULL for it; infinite values stay infinite.
"""

from __future__ import annotations

from collections.abc import Sequence

from gmm_core.normalising.modes import Modes
from gmm_core.sql.dialects import Dialect

__all__ = ["denormalised", "likeliest_mode", "normalised", "searched"]


def likeliest_mode(modes: Modes, x: str, dialect: Dialect) -> str:
    """The most responsible mode of `x`: comparisons with the edges of the stretches.

    For numbers alone: what cannot be NULL is quicker and takes less generated code.
    """
    edges = [dialect.number(edge) for edge in modes.edges.tolist()]
    return searched(x, edges, [str(owner) for owner in modes.owners.tolist()])


def normalised(modes: Modes, x: str, mode: str, dialect: Dialect) -> str:
    """(x - mean) / (4 standard deviations) in the mode of each row."""
    means, widths = modes.means.tolist(), modes.widths.tolist()
    return f"({x} - {dialect.pick(means, mode)}) / {dialect.pick(widths, mode)}"


def denormalised(modes: Modes, value: str, mode: str, dialect: Dialect) -> str:
    """A normalised value back to the column's units; NULL where the mode is."""
    # Spark may look up a NULL position, which it has as -1, before it looks whether it is one.
    place = f"COALESCE({mode}, 0)"
    mean, width = (dialect.pick(v.tolist(), place) for v in (modes.means, modes.widths))
    return f"CASE WHEN {mode} IS NOT NULL THEN {mean} + {value} * {width} END"


def searched(x: str, edges: Sequence[str], leaves: Sequence[str]) -> str:
    """The leaf of the stretch that `x` lies in: as many comparisons as the logarithm of the edges."""
    if not edges:
        return leaves[0]
    half = len(edges) // 2
    below = searched(x, edges[:half], leaves[: half + 1])
    above = searched(x, edges[half + 1 :], leaves[half + 1 :])
    return f"CASE WHEN {x} < {edges[half]} THEN {below} ELSE {above} END"
