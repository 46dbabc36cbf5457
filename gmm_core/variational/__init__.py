"""Variational Bayes: priors, posteriors, and the loop between them."""

__all__: list[str] = []
