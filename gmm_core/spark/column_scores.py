"""Scores of a column by its own mixture, as SQL expressions: no row passes through Python."""

from __future__ import annotations

from pyspark.sql import DataFrame

from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.normalising.modes import Modes
from gmm_core.spark.modes import check_numeric, named
from gmm_core.sql.dialects import SPARK
from gmm_core.sql.scored import density_steps, score_steps

__all__ = ["score_column"]


def score_column(
    frame: DataFrame,
    name: str,
    modes: Modes | Mixture,
    *,
    tail: TailCurve | None = None,
    responsibilities: bool = False,
) -> DataFrame:
    """The frame and `<name>_log_prob`: the log-density of a numeric column, in nats per its unit.

    With a tail curve of the mixture also `<name>_score`, the share of the mixture's own draws that are
    denser; with `responsibilities` also `<name>_responsibility_<j>` of each mode. A missing value (NULL
    or NaN) has NULL; an infinite one has a log-density near -5e299.

    Raises `InvalidInput` when the column is not there or not numeric, or a name is taken.
    """
    one = modes if isinstance(modes, Modes) else Modes(modes)
    check_numeric(frame, [name])
    value = SPARK.value(SPARK.identifier(name))
    answers = {f"{name}_log_prob": "__log"}
    if tail is not None:
        answers[f"{name}_score"] = "__score"
    if responsibilities:
        answers |= {f"{name}_responsibility_{j}": f"__share{j}" for j in range(one.n_modes)}
    taken = sorted({n.lower() for n in frame.columns} & {n.lower() for n in answers})
    if taken:
        raise InvalidInput("columns have a name that is to be made", got=taken)
    before = frame.columns
    steps = [{"__x": f"COALESCE({value}, 0D)"}, *density_steps(one, "__x", "__log", "__share")]
    if tail is not None:
        steps += score_steps(tail, "__log", "__score")
    for step in steps:
        frame = frame.selectExpr("*", *named(step))
    there = {
        made: f"CASE WHEN {value} IS NOT NULL THEN {SPARK.identifier(helper)} END"
        for made, helper in answers.items()
    }
    return frame.selectExpr(*map(SPARK.identifier, before), *named(there))
