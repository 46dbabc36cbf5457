"""Drawn modes in Spark SQL: the look-ups of `gmm_core.normalising.mode_table` as steps of expressions.

A step names expressions over the columns of the steps before, which all stay: what several
expressions share is computed once, and the generated code is as short for many modes as for few.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gmm_core.normalising.mode_table import ShareTable
from gmm_core.sql.dialects import SPARK
from gmm_core.sql.modes import searched

__all__ = ["Step", "drawn_steps", "hash_bits", "listed"]

_PARTS = ("zone", "start", "rate", "cells", "first")
_HELPERS = ("along", "cell", "node", "place", "entry")

Step = Mapping[str, str]  # column name -> expression


def hash_bits(salt: int, keys: Iterable[str]) -> str:
    """The hash of `gmm_core.normalising.hashing.hash_columns`, of key expressions of the kinds it takes."""
    return f"XXHASH64({salt}L, {', '.join(keys)})"


def drawn_steps(table: ShareTable, x: str, bits: str, mode: str) -> list[Step]:
    """Steps that add a column `mode`, drawn for column `x` by column `bits`, neither ever NULL.

    The arguments are names; helpers are called `mode` and a suffix.
    """
    value, hashed = SPARK.identifier(x), SPARK.identifier(bits)
    k = table.slots.shape[1]
    zone, start, rate, cells, first = (f"{mode}_{part}" for part in _PARTS)
    edges = [SPARK.number(edge) for edge in table.edges.tolist()]
    z, s, r, c, f, along, cell, node, place, entry = (
        SPARK.identifier(f"{mode}_{part}") for part in (*_PARTS, *_HELPERS)
    )
    scaled = f"SHIFTRIGHTUNSIGNED({hashed}, 11) * {SPARK.number(2.0**-53)} * {SPARK.number(k)}"
    low = f"({hashed} & {2**20 - 1}L) * {SPARK.number(2.0**-20)}"
    kept = f"{place} - INT({place}) < {entry} - INT({entry})"
    picked = {
        start: SPARK.pick(table.starts.tolist(), z),
        rate: SPARK.pick(table.rates.tolist(), z),
        cells: SPARK.pick(table.cells.tolist(), z),
        first: SPARK.pick(table.firsts.tolist(), z),
    }
    return [
        {zone: searched(value, edges, [str(number) for number in range(len(table.starts))])},
        picked,
        {f"{mode}_along": f"LEAST(GREATEST(({value} - {s}) * {r}, 0D), {c})"},
        {f"{mode}_cell": f"INT({along})", f"{mode}_place": scaled},
        {f"{mode}_node": f"INT({f}) + {cell} + IF({low} < {along} - {cell}, 1, 0)"},
        {
            f"{mode}_entry": f"COALESCE({listed(table.slots.ravel())}[{node} * {k} + INT({place})], 0D)"
        },
        {mode: f"IF({kept}, INT({place}), INT({entry}))"},
    ]


def listed(values: Iterable[float]) -> str:
    """A long list of floats, as one text: thousands of literals take the analyzer seconds."""
    texts = ",".join(repr(float(value)) for value in values)
    return f"CAST(SPLIT('{texts}', ',') AS ARRAY<DOUBLE>)"
