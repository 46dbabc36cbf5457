"""The edge export: a reader with the standard library alone, and one in C, say what the model says."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from mixtures import random_mixture, seeds

from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import InvalidInput
from gmm_core.export.edge import FORMATS, to_c_header, to_json, without_correlations
from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMPILER = shutil.which("cc")
FAR = [1e149, 1e155, 1e200, -1.7e308]  # values whose squares are no numbers, and one before them
FEATURES = (
    Feature("amount", "log"), Feature("items", "log1p"), Feature("area", "sqrt"), Feature("hour"),
)  # fmt: skip


def reader():
    spec = importlib.util.spec_from_file_location("edge_reader", EXAMPLES / "edge_reader.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model_of(seed: int, kind: str = "diag") -> DensityModel:
    made = random_mixture(seed, 3, 4, kind, spread=1.0)
    mixture = Mixture(made.weights, made.means + 4.0, made.covariances, kind)
    tail = TailCurve.of(mixture, draws=2_000)
    return DensityModel("till", FEATURES, mixture, tail, 0.99, component_ids=(4, 0, 9))


def rows_of(model: DensityModel, n: int = 60) -> dict[str, np.ndarray]:
    """Usual rows, rows far out, and one at the centre of a component."""
    X = model.mixture.sample(n, seed=7)
    X[: n // 3] = X[: n // 3] * 3 - 8
    X[:, 2] = np.abs(X[:, 2])
    X[-1] = model.mixture.means[0]
    return {f.name: f.inverse(X[:, i]) for i, f in enumerate(model.features)}


@settings(max_examples=6)
@given(seeds)
def test_the_json_and_its_reader_say_what_the_model_says(seed):
    model = model_of(seed, "spherical" if seed % 2 else "diag")
    columns, read = rows_of(model), reader()
    exported = json.loads(to_json(model))
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    logs, scores = (model.output(columns, name)[name] for name in ("log_prob", "score"))
    np.testing.assert_allclose([read.log_prob(exported, row) for row in rows], logs, rtol=1e-12)
    np.testing.assert_allclose(
        [read.score(exported, row) for row in rows], scores, rtol=1e-9, atol=1e-12
    )


def test_the_reader_has_the_farthest_rows_as_anomalies_and_refuses_what_is_no_number():
    model, read = model_of(3), reader()
    exported, usual = json.loads(to_json(model)), {"amount": 9.0, "items": 9.0, "area": 9.0}
    for hour in FAR:
        columns = {name: [value] for name, value in (usual | {"hour": hour}).items()}
        assert read.score(exported, usual | {"hour": hour}) == 1.0
        assert model.output(columns, "score")["score"] == [1.0]
    for hour in (math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match="finite"):
            read.score(exported, usual | {"hour": hour})


def test_the_reader_is_a_program_of_few_lines():
    source = (EXAMPLES / "edge_reader.py").read_text()
    assert len([line for line in source.splitlines() if line.strip()]) <= 36
    assert "gmm_core" not in source
    assert "numpy" not in source


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_the_c_header_compiles_without_a_warning_and_says_what_the_model_says(kind, tmp_path):
    model = model_of(3, kind)
    (tmp_path / "model.h").write_text(to_c_header(model))
    program = tmp_path / "score"
    subprocess.run(
        [COMPILER, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", "-o",
         str(program), str(EXAMPLES / "edge_reader.c"), "-lm"],
        check=True, timeout=60,
    )  # fmt: skip
    columns = rows_of(model)
    lines = [" ".join(map(repr, map(float, row))) for row in zip(*columns.values(), strict=True)]
    lines += [f"9 9 9 {hour!r}" for hour in FAR]
    lines += ["-1 1 1 1", "1 -1 1 1", "1 1 -1 1", "1 1 1 inf"]
    ran = subprocess.run(
        [str(program)], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    got = np.array([line.split() for line in ran.stdout.splitlines()], dtype=float)
    np.testing.assert_array_equal(got[-8:-4, 0], 1.0)
    assert np.isfinite(got[-8:-4, 1]).all()
    n = len(lines) - 8
    np.testing.assert_allclose(
        got[:n, 0], model.output(columns, "score")["score"], rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        got[:n, 1], model.output(columns, "log_prob")["log_prob"], rtol=1e-12
    )
    np.testing.assert_array_equal(got[:n, 2], model.output(columns, "component")["component"])
    assert np.isnan(got[-4:, :2]).all()
    assert (got[-4:, 2] == -1).all()


def test_the_header_names_ids_and_limit():
    header = to_c_header(model_of(1))
    assert "blockmix_component_id[3] = {4, 0, 9};" in header
    assert "#define BLOCKMIX_ANOMALY_ABOVE 0.99" in header


def test_a_name_cannot_leave_its_comment():
    odd = DensityModel.build(
        "s", [Feature("a*/ int x; /*\n#error")], Mixture([1.0], [[0.0]], [1.0], "spherical"), 0.9
    )
    header = to_c_header(odd)
    assert "a__ int x_ ____error" in header
    assert json.loads(to_json(odd))["features"][0]["name"] == "a*/ int x; /*\n#error"


def test_correlations_and_levels_are_refused_and_can_be_dropped():
    full = model_of(2, "full")
    for write in FORMATS.values():
        with pytest.raises(InvalidInput, match="no correlations"):
            write(full)
    plain = without_correlations(full)
    assert plain.component_ids == full.component_ids
    np.testing.assert_allclose(
        plain.mixture.standard_deviations(), full.mixture.standard_deviations()
    )
    assert math.isfinite(json.loads(to_json(plain))["log_tail"][0])
    levels = MixedMixture(Mixture([1.0], [[0.0]], [1.0], "spherical"), [[[0.5, 0.5]]])
    mixed = DensityModel.build("s", [Feature("a"), Feature("b", levels=("x",))], levels, 0.9)
    with pytest.raises(InvalidInput, match="numeric features alone"):
        to_json(mixed)
