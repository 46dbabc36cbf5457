"""How covariances are stored and computed with, one class a type; `gaussian.kind_of` finds it."""

__all__: list[str] = []
