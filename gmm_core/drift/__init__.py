"""Drift: whether a block, or a model, differs from what came before by more than chance.

divergences.py  between mixtures, and between the shares of two tallies
marginals.py    one feature in several blocks, side by side
report.py       a block against a reference: how far, whether that is unusual, what moved
precedent.py    a block against the blocks before it, as laws for a gate
comparison.py   one model against another on rows that neither was fitted to
"""

from __future__ import annotations

__all__: list[str] = []
