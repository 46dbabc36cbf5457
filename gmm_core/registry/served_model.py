"""The script that MLflow runs to load a window mixture: a pyfunc from code, nothing pickled.

It is carried inside every model version, together with the numerics it imports (packaging.py), so
a job that scores rows needs mlflow, numpy and pandas, and no Blockmix.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

__all__ = ["ServedMixture"]

_FORMS = ("rows", "columns", "packed")


class ServedMixture(PythonModel):
    """Rows in source units -> one of its outputs, with named columns."""

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
    ) -> pd.DataFrame | dict[str, Any]:
        """The output named by `params["output"]`, one row per row given, in the form `params["form"]`.

        What is not named there is as the model was loaded: score in "rows" unless its configuration says
        otherwise. "rows" is a frame on the index of the rows, of which a server makes a record per row;
        "columns" is a dict of arrays, of which it makes a list per column, several times as fast;
        "packed" is a dict too, with numbers as {dtype: their bytes in base64}, which it has nothing to
        do with. Raises `InvalidInput` for an unknown output or form, and for a missing or impossible
        value, naming the feature, the first bad value and the count.
        """
        from gmm_core.errors import InvalidInput

        asked, loaded = params or {}, context.model_config or {}
        form = asked.get("form") or loaded.get("form", _FORMS[0])
        if form not in _FORMS:
            raise InvalidInput("unknown form", got=form, bound=", ".join(_FORMS))
        columns = {name: model_input[name].to_numpy() for name in self.model.feature_names}
        output = asked.get("output") or loaded.get("output", "score")
        answer = self.model.output(columns, output)
        if form == "packed":
            return {name: _packed(values) for name, values in answer.items()}
        return answer if form == "columns" else pd.DataFrame(answer, index=model_input.index)


def _packed(values: NDArray[Any]) -> dict[str, str] | NDArray[Any]:
    """Numbers as {dtype: base64 of their bytes, the lowest of each first}; texts as they are."""
    if values.dtype == object:
        return values
    ordered = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return {values.dtype.name: base64.b64encode(ordered.tobytes()).decode("ascii")}


set_model(ServedMixture())
