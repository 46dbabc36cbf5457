"""Scores of one column in Spark SQL: log-density, responsibilities and tail probability, as steps.

The log-density is summed up from what is left after the largest part, as in Python, so that a value
may lie any number of deviations out; beyond 1e150 it is just that far. The tail probability is looked
up in the tail curve by halving.
"""

from __future__ import annotations

import numpy as np

from gmm_core.answering.scoring import TailCurve
from gmm_core.normalising.modes import Modes
from gmm_core.sql.dialects import SPARK
from gmm_core.sql.drawn import Step, listed

__all__ = ["density_steps", "score_steps"]

_FURTHEST = SPARK.number(1e150)
_HALF_LOG_TWO_PI = 0.5 * float(np.log(2 * np.pi))


def density_steps(modes: Modes, x: str, log_prob: str, share: str) -> list[Step]:
    """Steps that add columns `log_prob`, nats, and `share` and each mode's number: responsibilities.

    `x` is the name of a column without NULL and NaN; helpers are called `log_prob` and a suffix.
    """
    value, parts = SPARK.identifier(x), range(modes.n_modes)
    heights = np.log(modes.mixture.weights * modes.whiteners) - _HALF_LOG_TWO_PI
    z = [SPARK.identifier(f"{log_prob}_z{j}") for j in parts]
    joint = [SPARK.identifier(f"{log_prob}_j{j}") for j in parts]
    shares = [SPARK.identifier(f"{share}{j}") for j in parts]
    top, total = SPARK.identifier(f"{log_prob}_top"), SPARK.identifier(f"{log_prob}_total")
    away = [
        f"({value} - {SPARK.number(mean)}) * {SPARK.number(white)}"
        for mean, white in zip(modes.means.tolist(), modes.whiteners.tolist(), strict=True)
    ]
    raw = [SPARK.identifier(f"{log_prob}_e{j}") for j in parts]
    return [
        {
            f"{log_prob}_z{j}": f"LEAST(GREATEST({away[j]}, -{_FURTHEST}), {_FURTHEST})"
            for j in parts
        },
        {f"{log_prob}_j{j}": f"{SPARK.number(heights[j])} - 0.5D * {z[j]} * {z[j]}" for j in parts},
        {f"{log_prob}_top": f"GREATEST({', '.join(joint)})" if len(joint) > 1 else joint[0]},
        {f"{log_prob}_e{j}": f"EXP({joint[j]} - {top})" for j in parts},
        {f"{log_prob}_total": " + ".join(raw)},
        {log_prob: f"{top} + LN({total})"}
        | {f"{share}{j}": f"{raw[j]} / {total}" for j in range(len(shares))},
    ]


def score_steps(curve: TailCurve, log_prob: str, score: str) -> list[Step]:
    """Steps that add a column `score`, 0 to 1, of a column `log_prob`; helpers are `score` and a suffix."""
    value, log_tail = SPARK.identifier(log_prob), np.log(curve.tail)
    slopes = np.append(np.diff(log_tail) / np.diff(curve.log_density), 0.0)
    cells = 1 << (len(slopes) - 1).bit_length()
    density = np.append(curve.log_density, np.full(cells - len(slopes), np.inf))
    steps: list[Step] = []
    cell, size = "0", cells
    while size > 1:
        size //= 2
        higher = f"{value} >= {listed(density)}[{cell} | {size}]"
        steps.append({f"{score}_{size}": f"{cell} | IF({higher}, {size}, 0)"})
        cell = SPARK.identifier(f"{score}_{size}")
    lowest = SPARK.number(curve.log_density[0])
    inside = f"{listed(slopes)}[{cell}] * ({value} - {listed(curve.log_density)}[{cell}])"
    tail = f"{listed(log_tail)}[{cell}] + IF({value} < {lowest}, {value} - {lowest}, {inside})"
    return [*steps, {score: f"ABS(EXPM1({tail}))"}]
