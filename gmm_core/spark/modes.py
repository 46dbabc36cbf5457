"""Mode-specific normalisation of Spark columns, as SQL expressions: no row passes through Python.

The numbers are those of `gmm_core.normalising.modes`: the same edges, hashes and divisions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import types as st

from gmm_core.errors import InvalidInput
from gmm_core.mixture import Mixture
from gmm_core.normalising.hashing import salt_of
from gmm_core.normalising.modes import Modes
from gmm_core.sql.dialects import SPARK
from gmm_core.sql.drawn import Step, drawn_steps, hash_bits
from gmm_core.sql.modes import denormalised, likeliest_mode, normalised

__all__ = ["check_numeric", "denormalise_columns", "named", "normalise_columns"]

# Java compiles no method of more than 8,000 bytes, which then takes some 50 times as long, and Spark
# puts all columns of a projection into one. So a few columns are normalised at a time.
_DRAWN_TOGETHER, _LIKELIEST_TOGETHER = 2, 8
# A narrower set of partitions, but not narrower than it is: it moves nothing, and ends a method.
_NO_FEWER = 2**31 - 1
_WORDS = (st.ByteType, st.ShortType, st.IntegerType, st.LongType, st.BooleanType)


def normalise_columns(
    frame: DataFrame,
    modes: Mapping[str, Modes | Mixture],
    *,
    sampled: bool = False,
    seed: int = 0,
    keys: Sequence[str] = (),
    one_hot: bool = False,
    keep: Sequence[str] | None = None,
) -> DataFrame:
    """`<name>_normalised` (double) and `<name>_mode` (int) of each column, beside the others.

    A missing value (NULL or NaN) has NULL in both; an infinite one stays infinite.

    Parameters
    ----------
    modes : modes, or a mixture of one feature, by the name of a numeric column.
    sampled : draw modes by their responsibilities instead of taking the likeliest. Draws come from
        the keys and the seed: running again, or on other partitions, gives the same.
    keys : columns that tell rows apart, whole numbers, other numbers or texts; by default the columns
        that are normalised, so that rows of equal values get equal modes.
    one_hot : `<name>_mode_<j>` (0 or 1) for each mode j instead of `<name>_mode`.
    keep : columns of the frame to pass on; by default all.

    Raises
    ------
    InvalidInput : a column is not there, not numeric, of a kind that has no hash, or has the name of
        one to be made.
    """
    each = _each(modes)
    kept = frame.columns if keep is None else list(keep)
    _check_columns(frame, each, [*keys, *kept])
    by = [_key(frame, key) for key in keys] or [_value(name) for name in each]
    salts = {name: hash_bits(salt_of(seed, name), by) for name in each} if sampled else {}
    made: list[str] = []
    names, many = list(each), _DRAWN_TOGETHER if sampled else _LIKELIEST_TOGETHER
    frame = frame.select(*_columns({*kept, *each, *keys}, frame))
    for first in range(0, len(names), many):
        part = {name: each[name] for name in names[first : first + many]}
        if first:
            frame = frame.coalesce(_NO_FEWER)
        before = frame.columns
        for step in _chain(part, salts):
            frame = frame.selectExpr("*", *named(step))
        answers = _answers(part, one_hot=one_hot)
        taken = sorted({name.lower() for name in before} & {name.lower() for name in answers})
        if taken:
            raise InvalidInput("columns have a name that is to be made", got=taken)
        made += answers
        frame = frame.selectExpr(*map(SPARK.identifier, before), *named(answers))
    return frame.select(*_columns([*kept, *made], frame))


def denormalise_columns(frame: DataFrame, modes: Mapping[str, Modes | Mixture]) -> DataFrame:
    """The frame with each column `name` restored from `<name>_normalised` and `<name>_mode`.

    These two go; a column `name` that is there is replaced. Raises `InvalidInput` when one of the two
    is not there. A mode that the column does not have is an error of Spark's.
    """
    each = _each(modes)
    used = [part for name in each for part in (f"{name}_normalised", f"{name}_mode")]
    _check_there(frame, used)
    kept = [name for name in frame.columns if name not in used and name not in each]
    values = {
        name: denormalised(
            one, SPARK.identifier(f"{name}_normalised"), SPARK.identifier(f"{name}_mode"), SPARK
        )
        for name, one in each.items()
    }
    return frame.selectExpr(*(SPARK.identifier(name) for name in kept), *named(values))


def _each(modes: Mapping[str, Modes | Mixture]) -> dict[str, Modes]:
    return {name: one if isinstance(one, Modes) else Modes(one) for name, one in modes.items()}


def _chain(part: Mapping[str, Modes], salts: Mapping[str, str]) -> list[dict[str, str]]:
    """The steps of some columns side by side, up to their modes."""
    chain: list[dict[str, str]] = [{}]
    for i, (name, one) in enumerate(part.items()):
        x, mode, bits = f"__value_{i}", f"__mode_{i}", f"__bits_{i}"
        chain[0][x] = f"COALESCE({_value(name)}, 0D)"
        steps: list[Step] = [{mode: likeliest_mode(one, SPARK.identifier(x), SPARK)}]
        if salts and one.n_modes > 1:
            chain[0][bits] = salts[name]
            steps = drawn_steps(one.table, x, bits, mode)
        for place, step in enumerate(steps, 1):
            if place == len(chain):
                chain.append({})
            chain[place] |= step
    return chain


def _answers(part: Mapping[str, Modes], *, one_hot: bool) -> dict[str, str]:
    """What is asked for, of what the chain has made."""
    made = {}
    for i, (name, one) in enumerate(part.items()):
        mode, value = SPARK.identifier(f"__mode_{i}"), _value(name)
        made[f"{name}_normalised"] = normalised(one, value, mode, SPARK)
        if one_hot:
            for j in range(one.n_modes):
                made[f"{name}_mode_{j}"] = f"INT({value} IS NOT NULL AND {mode} = {j})"
        else:
            made[f"{name}_mode"] = f"CASE WHEN {value} IS NOT NULL THEN {mode} END"
    return made


def named(step: Step) -> list[str]:
    """A step's expressions with their names, as `selectExpr` takes them."""
    return [f"{value} AS {SPARK.identifier(name)}" for name, value in step.items()]


def _columns(names: Collection[str], frame: DataFrame) -> list[Column]:
    """Those columns, in the frame's order when they come as a set."""
    ordered = [name for name in frame.columns if name in names] if isinstance(names, set) else names
    return [frame[SPARK.identifier(name)] for name in ordered]


def _value(name: str) -> str:
    return SPARK.value(SPARK.identifier(name))


def _key(frame: DataFrame, name: str) -> str:
    """A key column as `gmm_core.normalising.hashing` takes it."""
    kind, column = frame.schema[name].dataType, SPARK.identifier(name)
    if isinstance(kind, _WORDS):
        return f"CAST({column} AS BIGINT)"
    if isinstance(kind, (st.FloatType, st.DoubleType)):
        return SPARK.value(column)
    if isinstance(kind, st.StringType):
        return column
    raise InvalidInput(
        f"key column {name!r} holds what has no hash",
        got=kind.simpleString(),
        bound="whole numbers, float, double or string",
        remedy="cast it to a string",
    )


def _check_columns(frame: DataFrame, each: Mapping[str, Modes], others: Sequence[str]) -> None:
    if not each:
        raise InvalidInput("no columns to normalise", got={}, bound="at least one")
    _check_there(frame, others)
    check_numeric(frame, list(each))


def check_numeric(frame: DataFrame, names: Sequence[str]) -> None:
    """Raises `InvalidInput` unless the frame has these columns and they hold numbers."""
    _check_there(frame, names)
    for name in names:
        kind = frame.schema[name].dataType
        if not isinstance(kind, st.NumericType):
            raise InvalidInput(
                f"column {name!r} does not hold numbers", got=kind.simpleString(), bound="numbers"
            )


def _check_there(frame: DataFrame, names: Sequence[str]) -> None:
    absent = sorted(set(names) - set(frame.columns))
    if absent:
        raise InvalidInput("columns are not there", got=absent, bound=", ".join(frame.columns))
