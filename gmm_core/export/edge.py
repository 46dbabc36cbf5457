"""Edge: a model of independent features as plain numbers, for programs with nothing but a math library.

log p(x) = log sum_j exp(offset_j - sum_i ((f_i(x_i) - mean_ji) * inverse_sd_ji)^2 / 2), where f_i is the
transform of feature i and offset_j = log w_j - sum_i log sd_ji - d/2 log(2 pi). Readers take no deviation for
more than 1e150, so that squares stay numbers. The tail curve beside it turns that into the score.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from gmm_core.errors import InvalidInput
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel

__all__ = ["FORMATS", "edge_values", "to_c_header", "to_json", "without_correlations"]

_SCHEMA = "blockmix/edge/1"
_C_TRANSFORM = {"identity": "v", "log": "log(v)", "log1p": "log1p(v)", "sqrt": "sqrt(v)"}
_C_ALLOWED = {"identity": "1", "log": "v > 0", "log1p": "v > -1", "sqrt": "v >= 0"}


def edge_values(model: DensityModel) -> dict[str, Any]:
    """The numbers that a reader needs, as plain JSON values.

    Raises `InvalidInput` for categorical features, and for covariances with correlations.

    >>> from gmm_core import Feature, Mixture
    >>> one = Mixture([1.0], [[0.0]], [[4.0]], "diag")
    >>> edge_values(DensityModel.build("s", [Feature("x")], one, 0.99))["components"]
    [{'id': 0, 'offset': -1.612085713764618, 'mean': [0.0], 'inverse_sd': [0.5]}]
    """
    mixture = _diagonal(model)
    inverse = np.asarray(mixture.whiteners)
    normal = 0.5 * mixture.n_features * np.log(2 * np.pi)
    offsets = np.log(mixture.weights) + np.log(inverse).sum(axis=1) - normal
    return {
        "schema": _SCHEMA,
        "stream": model.stream,
        "features": [feature.to_dict() for feature in model.features],
        "components": [
            {
                "id": number,
                "offset": float(offset),
                "mean": mean.tolist(),
                "inverse_sd": by.tolist(),
            }
            for number, offset, mean, by in zip(
                model.component_ids, offsets, mixture.means, inverse, strict=True
            )
        ],
        "log_density": model.tail.log_density.tolist(),
        "log_tail": np.log(model.tail.tail).tolist(),
        "anomaly_above": model.anomaly_above,
    }


def to_json(model: DensityModel) -> str:
    """`edge_values` as text; examples/edge_reader.py reads it with the standard library alone."""
    return json.dumps(edge_values(model), allow_nan=False, indent=1) + "\n"


def to_c_header(model: DensityModel) -> str:
    """A C99 header with the model's numbers and functions; examples/edge_reader.c uses it.

    `blockmix_log_prob`, `blockmix_score` and `blockmix_component` take a row in source units
    (double[BLOCKMIX_FEATURES]); a value outside its transform's domain makes the first two NaN and the
    third -1. Doubles are written so that they come back bit for bit. Raises as `edge_values`.
    """
    values = edge_values(model)
    parts, tail = values["components"], values["log_density"]
    k, d = len(parts), len(model.features)
    features = "\n".join(
        f"  v = x[{i}]; /* {_comment(f.name)}, {f.transform} */\n"
        f"  if (!(isfinite(v) && {_C_ALLOWED[f.transform]})) return 0;\n"
        f"  z[{i}] = {_C_TRANSFORM[f.transform]};"
        for i, f in enumerate(model.features)
    )
    return _HEADER.format(
        title=_comment(f"stream {model.stream}: {k} components, {d} features, no correlations"),
        k=k,
        d=d,
        m=len(tail),
        limit=_number(model.anomaly_above),
        ids=", ".join(str(part["id"]) for part in parts),
        offset=_numbers([part["offset"] for part in parts]),
        mean=_numbers([value for part in parts for value in part["mean"]]),
        inverse=_numbers([value for part in parts for value in part["inverse_sd"]]),
        density=_numbers(tail),
        tail=_numbers(values["log_tail"]),
        features=features,
    )


FORMATS = {"json": to_json, "c-header": to_c_header}


def without_correlations(model: DensityModel) -> DensityModel:
    """The model with each component's variances alone, its tail curve calibrated anew.

    It loses what features say of one another: expect lower densities, and other anomalies.
    """
    mixture = model.mixture.as_type("diag")
    return DensityModel.build(
        model.stream,
        model.features,
        mixture,
        model.anomaly_above,
        component_ids=model.component_ids,
    )


def _diagonal(model: DensityModel) -> Mixture:
    if isinstance(model.mixture, MixedMixture):
        raise InvalidInput(
            "an edge model has numeric features alone",
            got=[feature.name for feature in model.features if feature.categorical],
            remedy="export a stream without categorical features",
        )
    if model.mixture.kind.scatter_type != "diag":
        raise InvalidInput(
            "an edge model has no correlations",
            got=model.mixture.covariance_type,
            bound="covariances diag or spherical",
            remedy="set mixture.covariance_type: diag in the stream file, or drop the correlations",
        )
    return model.mixture


def _number(value: float) -> str:
    return repr(float(value))


def _numbers(values: list[float]) -> str:
    return ",\n  ".join(_number(value) for value in values)


def _comment(text: str) -> str:
    """Without what could end a comment, or is no plain letter."""
    return re.sub(r"[^\w .,:()+-]", "_", text, flags=re.ASCII)


_HEADER = """\
/* Gaussian mixture, {title}. C99, needs libm. */
#ifndef BLOCKMIX_MODEL_H
#define BLOCKMIX_MODEL_H
#include <math.h>

#define BLOCKMIX_FEATURES {d}
#define BLOCKMIX_COMPONENTS {k}
#define BLOCKMIX_ANOMALY_ABOVE {limit}

static const int blockmix_component_id[{k}] = {{{ids}}};
static const double blockmix_offset_[{k}] = {{
  {offset}}};
static const double blockmix_mean_[{k} * {d}] = {{
  {mean}}};
static const double blockmix_inverse_sd_[{k} * {d}] = {{
  {inverse}}};
static const double blockmix_log_density_[{m}] = {{
  {density}}};
static const double blockmix_log_tail_[{m}] = {{
  {tail}}};

/* Logs of weight times density of all components; 0 when a value has none. */
static inline int blockmix_joint_(const double *x, double *joint) {{
  double v, z[{d}];
{features}
  for (int j = 0; j < {k}; j++) {{
    double square = 0;
    for (int i = 0; i < {d}; i++) {{
      v = fabs((z[i] - blockmix_mean_[j * {d} + i]) * blockmix_inverse_sd_[j * {d} + i]);
      v = fmin(v, 1e150); /* beyond, a value is just that far: its square stays a number */
      square += v * v;
    }}
    joint[j] = blockmix_offset_[j] - square / 2;
  }}
  return 1;
}}

/* The most responsible component, by number; its lasting id is blockmix_component_id[number]. */
static inline int blockmix_component(const double *x) {{
  double joint[{k}];
  int best = 0;
  if (!blockmix_joint_(x, joint)) return -1;
  for (int j = 1; j < {k}; j++) if (joint[j] > joint[best]) best = j;
  return best;
}}

/* Log-density in feature space, nats. */
static inline double blockmix_log_prob(const double *x) {{
  double joint[{k}], top, sum = 0;
  if (!blockmix_joint_(x, joint)) return NAN;
  top = joint[blockmix_component(x)];
  for (int j = 0; j < {k}; j++) sum += exp(joint[j] - top);
  return top + log(sum);
}}

/* 0 usual to 1 unusual; above BLOCKMIX_ANOMALY_ABOVE an anomaly. */
static inline double blockmix_score(const double *x) {{
  const double *at = blockmix_log_density_, *tail = blockmix_log_tail_;
  double value = blockmix_log_prob(x), log_tail;
  int i = 1;
  if (isnan(value)) return NAN;
  if (value >= at[{m} - 1]) log_tail = tail[{m} - 1];
  else if (value <= at[0]) log_tail = tail[0] + value - at[0];
  else {{
    while (at[i] <= value) i++;
    log_tail = tail[i - 1] + (tail[i] - tail[i - 1]) * (value - at[i - 1]) / (at[i] - at[i - 1]);
  }}
  return fabs(expm1(log_tail));
}}
#endif
"""
