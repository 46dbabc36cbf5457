"""MLflow: versions, aliases and lineage of the window mixtures, and the model other jobs load.

mlflow_registry.py  the `ModelRegistry` port over an MLflow tracking server or database
lookup.py           the model as of a day, or the champion, for other jobs
connection.py       one quiet, quickly failing, race-safe way to reach MLflow
records.py          what a run says: params, metrics, report, model card (no MLflow in it)
packaging.py        the model folder: mixture as JSON, the code that reads it, signature, example
served_model.py     the script inside that folder
pictures.py         the plots beside the model card
server.py           the command that starts a local server

Importing this package, or mlflow_registry, does not import mlflow: that takes seconds, and the
files that wire the registry are parsed far more often than it is used.
"""

from __future__ import annotations

from gmm_core.registry.lookup import PinnedModel, champion_of, model_as_of

__all__ = ["PinnedModel", "champion_of", "model_as_of"]
