"""Health: what is measured of a block's mixture, of a window mixture, and of the rows they score.

catalogue.py  every measure once: name, unit, threshold
checklists.py what could go wrong, and the measures that show it
shape.py      of a mixture alone
tally.py      what is counted of scored rows, and what the counts say
scores.py     rows scored by several models at once
changes.py    of a mixture against the one before it
"""

from __future__ import annotations

__all__: list[str] = []
