"""The scikit-learn faces. What they compute is done elsewhere; here are names, attributes and starts."""

__all__: list[str] = []
