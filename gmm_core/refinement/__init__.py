"""Refinement: a reduced mixture moved nearer to the pooled one that it stands for.

`soft` and `hard` move it on the pooled components themselves, polishing on `points` that stand for
them; `guard` keeps what was there unless a move pays on other points, and `exact` gives what is
kept the pooled mean and covariance to rounding. `window` is the entrance to all of them.
"""

__all__: list[str] = []
