"""MLflow: versions, aliases and lineage of the window mixtures, and the model other jobs load.

mlflow_registry.py  the `ModelRegistry` port over an MLflow tracking server or database
connection.py       one quiet, quickly failing, race-safe way to reach MLflow
records.py          what a run says: params, metrics, report, model card (no MLflow in it)
packaging.py        the model folder: mixture as JSON, the code that reads it, signature, example
served_model.py     the script inside that folder
server.py           the command that starts a local server

Importing this package, or mlflow_registry, does not import mlflow: that takes seconds, and the
files that wire the registry are parsed far more often than it is used.
"""

from __future__ import annotations

__all__: list[str] = []
