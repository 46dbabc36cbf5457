"""What a fit works with: checked rows, starts, and E-steps. The loops are `em` and `variational`."""

__all__: list[str] = []
