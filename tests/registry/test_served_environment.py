"""A model in an environment that holds its own requirements and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gmm_core.registry import packaging

PROGRAM = """
import importlib.util, json, sys
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.input_example
answer = {name: model.predict(rows, params={"output": name}).to_dict("list") for name in sys.argv[2:]}
there = [name for name in ("gmm_core", "numba", "pyspark", "airflow") if importlib.util.find_spec(name)]
print("ANSWER", json.dumps([answer, there]))
"""


@pytest.mark.long
def test_its_own_requirements_are_enough(model, tmp_path):
    logged = SimpleNamespace(artifact_location="model", source_run_id=None, model_id=None)
    (tmp_path / "scratch").mkdir()
    folder = packaging.save_served_model(model, "card", logged, tmp_path / "scratch")
    place, uv = tmp_path / "venv", str(Path(sys.executable).with_name("uv"))
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", "--python", str(place / "bin" / "python"),
         "--requirement", str(folder / "requirements.txt")],
    ):  # fmt: skip
        subprocess.run(command, check=True, timeout=500, cwd=tmp_path)
    outputs = ["score", "contributions", "explanation"]
    ran = subprocess.run(
        [str(place / "bin" / "python"), "-I", "-c", PROGRAM, str(folder), *outputs],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answer, there = json.loads(ran.stdout.partition("ANSWER")[2])
    assert there == []
    rows = dict(pd.DataFrame(packaging.example_rows(model)).items())
    for output in outputs:
        for name, values in model.output(rows, output).items():
            if values.dtype == object:
                assert answer[output][name] == values.tolist()
            else:
                np.testing.assert_allclose(answer[output][name], values, rtol=1e-9, atol=1e-9)
