"""Dialects: where Spark SQL, DuckDB and PostgreSQL write the same thing differently.

Names and numbers reach SQL through here alone, so that neither can be taken for something else:
identifiers are quoted, and a number is written with the digits that read back as the same float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gmm_core.errors import InvalidInput

__all__ = ["DUCKDB", "POSTGRES", "SPARK", "Dialect"]


@dataclass(frozen=True)
class Dialect:
    """How one engine writes names, numbers and a look-up in a list.

    Parameters
    ----------
    name : the engine's.
    quote : what a name is put in; doubled inside of it.
    literal : from the shortest digits of a finite float to an expression of that very float.
    listed : from expressions of floats, and an expression of a position from 0, to the float there.
    double : the type of a 64-bit float.
    exp : of an expression of 0 or less.

    >>> SPARK.number(-0.1), SPARK.identifier("a`b"), POSTGRES.identifier('a"b')
    ('(-0.1D)', '`a``b`', '"a""b"')
    """

    name: str
    quote: str
    literal: Callable[[str], str]
    listed: Callable[[str, str], str]
    double: str
    exp: Callable[[str], str] = "EXP({})".format

    def identifier(self, name: str) -> str:
        """A column's name; raises `InvalidInput` for an empty one, or one with a NUL in it."""
        if not name or "\0" in name:
            raise InvalidInput("a column's name", got=name, bound="a text without NUL")
        return f"{self.quote}{name.replace(self.quote, 2 * self.quote)}{self.quote}"

    def number(self, value: float) -> str:
        """A float; raises `InvalidInput` unless it is finite."""
        if not math.isfinite(value):
            raise InvalidInput("a number in SQL", got=value, bound="finite numbers")
        return f"({self.literal(repr(float(value)))})"

    def pick(self, values: Sequence[float], position: str) -> str:
        """The float at an expression's position, from 0; NULL where that is NULL."""
        if len(values) == 1:
            return f"CASE WHEN {position} IS NOT NULL THEN {self.number(values[0])} END"
        return self.listed(", ".join(self.number(value) for value in values), position)

    def value(self, expression: str) -> str:
        """An expression as a 64-bit float, NaN as NULL: to all three engines NaN equals itself."""
        nan = f"CAST('NaN' AS {self.double})"
        return f"NULLIF(CAST({expression} AS {self.double}), {nan})"


def _as_text(digits: str) -> str:
    """A bare 0.1 would be a decimal to DuckDB and PostgreSQL."""
    return f"CAST('{digits}' AS double precision)"


SPARK = Dialect("spark", "`", "{}D".format, "ARRAY({})[{}]".format, "double")
DUCKDB = Dialect("duckdb", '"', _as_text, "([{}])[{} + 1]".format, "double precision")
POSTGRES = Dialect(
    "postgres",
    '"',
    _as_text,
    "(ARRAY[{}])[{} + 1]".format,
    "double precision",
    "EXP(GREATEST({}, -700))".format,  # it raises an error where the result would be 0
)
