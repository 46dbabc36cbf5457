"""Mixtures as SQL: expressions that engines evaluate by themselves, without Python on a row's path."""

__all__: list[str] = []
