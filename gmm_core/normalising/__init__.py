"""Normalising: a value as its distance from one of its mixture's modes, and back.

distances.py   the distance itself, forward and inverse, for a given component
modes.py       the modes of one column, and the choice of one for each value
mode_table.py  modes drawn by their responsibilities with a few look-ups
hashing.py     hashes of row keys, by which random choices are made; Spark SQL's numbers
"""

from __future__ import annotations

__all__: list[str] = []
