"""Mixed: components that are Gaussian in some features and categorical in others.

levels.py   what a categorical feature can be, as codes in rows and tables in components
mixture.py  `MixedMixture`, the value
em.py       its fit
"""

from __future__ import annotations

__all__: list[str] = []
