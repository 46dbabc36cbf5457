"""Answering: what a density model says of rows.

density.py        what answers are made from
answers.py        one function an output: log-density, component, score, normalised values, words
scoring.py        from log-density to a tail probability
calibration.py    whether as many rows are unusual as the tail probability says
contributions.py  how far each value of a row lies from what its component suggests
explanations.py   the same in words
"""

from __future__ import annotations

__all__: list[str] = []
