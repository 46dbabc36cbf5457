"""ONNX: a mixture as a graph that onnxruntime and others run; by skl2onnx, the optional extra "onnx"."""

from __future__ import annotations

from typing import Any

from gmm_core.export.scikit import to_sklearn
from gmm_core.extras import optional
from gmm_core.mixture import Mixture

__all__ = ["to_onnx"]

_EXTRA = '"blockmix[onnx]"'


def to_onnx(mixture: Mixture) -> Any:
    """The mixture as an `onnx.ModelProto`; write it with its `SerializeToString`.

    Input "X" (n, d) float64, in feature space. Outputs: "label" (n,) the most responsible component,
    "probabilities" (n, k) responsibilities, "score_samples" (n, 1) log-densities in nats. Raises
    `MissingExtra` without skl2onnx.
    """
    skl2onnx = optional("skl2onnx", "exports to ONNX", _EXTRA)
    types = optional("skl2onnx.common.data_types", "exports to ONNX", _EXTRA)
    model = to_sklearn(mixture)
    kind = types.DoubleTensorType([None, mixture.n_features])
    options = {id(model): {"score_samples": True}}
    return skl2onnx.convert_sklearn(model, initial_types=[("X", kind)], options=options)
