"""The demo: 14 days of real baskets through the whole pipeline, on this machine alone."""
