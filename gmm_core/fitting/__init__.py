"""What a fit works with: checked rows, starts, and E-steps. `em` and `variational` put it together."""

__all__: list[str] = []
