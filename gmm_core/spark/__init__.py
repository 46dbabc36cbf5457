"""Spark as a `BlockEngine`: landing, fitting and transforming the rows of a block."""
