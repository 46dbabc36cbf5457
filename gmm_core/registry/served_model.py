"""The script that MLflow runs to load a window mixture: a pyfunc from code, nothing pickled.

It is carried inside every model version, together with the numerics it imports (packaging.py), so
a job that scores rows needs mlflow, numpy and pandas, and no Blockmix.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

__all__ = ["ServedMixture"]


class ServedMixture(PythonModel):
    """Rows in source units -> one of its outputs, as a frame with named columns."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the mixture. The import stands here so that saving the script needs no numerics."""
        from gmm_core.codec import from_dict
        from gmm_core.model import DensityModel

        content = Path(context.artifacts["model"]).read_text(encoding="utf-8")
        self.model = from_dict(json.loads(content), DensityModel)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """The output named by `params["output"]` (default score), one row per row given.

        Raises `InvalidInput` for an unknown output and for a missing or impossible value, naming
        the feature, the first bad value and the count.
        """
        columns = {name: model_input[name].to_numpy() for name in self.model.feature_names}
        output = (params or {}).get("output", "score")
        return pd.DataFrame(self.model.output(columns, output), index=model_input.index)


set_model(ServedMixture())
