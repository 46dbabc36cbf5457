"""Squashing: many rows of one column become few weighted cells, and fits run on the cells."""

__all__: list[str] = []
