"""The pyfunc as another job sees it: without gmm_core, without pickle, by address alone."""

from __future__ import annotations

import ast
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from orders import KEYS, make_rows

from gmm_core import codec
from gmm_core.errors import InvalidInput
from gmm_core.model import OUTPUTS
from gmm_core.registry import packaging, records
from gmm_core.registry.mlflow_registry import MlflowRegistry

PROJECT = Path(__file__).resolve().parents[2]

# Run with python -I in an empty folder; whatever way gmm_core is installed, it is not there.
ELSEWHERE = """
import json, sys

class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "gmm_core":
            raise ModuleNotFoundError("no gmm_core here")

sys.meta_path.insert(0, NotHere())
import mlflow, pandas as pd
uri, name, rows = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
rows = pd.read_json(rows, orient="split")
answer = {o: model.predict(rows, params={"output": o}).to_dict("list") for o in %r}
answer["default"] = model.predict(rows).to_dict("list")

def error(rows, **params):
    try:
        model.predict(rows, params=params)
    except Exception as problem:
        return str(problem)

answer["errors"] = {
    "output": error(rows, output="mood"),
    "missing value": error(rows.assign(delay=float("nan")), output="score"),
    "missing column": error(rows.drop(columns="rating")),
}
answer["modules"] = sorted(m for m in sys.modules if m.startswith(("gmm_core", "blockmix_model")))
print("ANSWER", json.dumps(answer))
""" % (OUTPUTS,)  # noqa: UP031


@pytest.fixture
def champion(registry, stream, model, lineage, report):
    version = registry.register(stream, model, lineage, report())
    registry.point(stream.name, "champion", version.version)
    return registry


@pytest.mark.parametrize("registry", ["server"], indirect=True)
def test_another_job_needs_only_mlflow(champion, stream, model, empty_folder, tmp_path):
    rows = make_rows(KEYS[3], n=50)[list(model.feature_names)]
    rows.to_json(tmp_path / "rows.json", orient="split", double_precision=15)
    rows = pd.read_json(tmp_path / "rows.json", orient="split")
    ran = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, champion._mlflow.tracking_uri, stream.name,
         str(tmp_path / "rows.json")],
        cwd=empty_folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
             "MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout.partition("ANSWER")[2])
    for output in OUTPUTS:
        expected = {k: v.tolist() for k, v in model.output(dict(rows.items()), output).items()}
        assert answer[output] == expected, output
    assert answer["default"] == answer["score"]
    errors = answer["errors"]
    assert "unknown output: got 'mood'; allowed: score, responsibilities" in errors["output"]
    assert "delay" in errors["missing value"]
    assert "50" in errors["missing value"]
    assert "rating" in errors["missing column"]
    packages = {name.partition(".")[0] for name in answer["modules"]}
    assert packages == {packaging.carried_code().package}


def test_it_lives_beside_an_installed_gmm_core(champion, stream, model):
    """Loading must not put another gmm_core in the place of the one that is imported."""
    import mlflow

    before = set(sys.modules)
    where = champion._mlflow.client.get_model_version_download_uri(stream.name, "1")
    served = mlflow.pyfunc.load_model(
        mlflow.artifacts.download_artifacts(where, tracking_uri=champion._mlflow.tracking_uri)
    )
    rows = pd.DataFrame(packaging.example_rows(model), index=[30, 10, 20])
    scores = served.predict(rows)
    assert scores.index.tolist() == [30, 10, 20]
    expected = model.output(dict(rows.items()), "score")["score"]
    np.testing.assert_array_equal(scores["score"], expected)
    assert served.predict(rows.head(0)).shape == (0, 1)
    # In another order, and with a column of something else.
    odd = rows.assign(note="x")[["note", *reversed(rows.columns)]]
    pd.testing.assert_frame_equal(served.predict(odd), scores)
    assert not [name for name in set(sys.modules) - before if name.startswith("gmm_core")]
    assert Path(sys.modules["gmm_core"].__file__).parent == PROJECT / "gmm_core"
    assert served.metadata.metadata == {"stream": stream.name, "anomaly_above": 0.995}
    pd.testing.assert_frame_equal(served.input_example, rows.reset_index(drop=True))


def test_a_server_answers_in_the_form_asked_for(model, tmp_path, monkeypatch):
    """By MLflow's own scoring code: that of a request, else of the model as it was loaded."""
    import mlflow
    from mlflow.pyfunc.scoring_server import invocations

    logged = SimpleNamespace(artifact_location="model", source_run_id=None, model_id=None)
    (tmp_path / "scratch").mkdir()
    folder = str(packaging.save_served_model(model, "card", logged, tmp_path / "scratch"))
    rows = pd.DataFrame(packaging.example_rows(model))
    want = model.output(dict(rows.items()), "component")
    plain = mlflow.pyfunc.load_model(folder)
    monkeypatch.setenv("MLFLOW_PYFUNC_INFERENCE_CONFIG", '{"form": "columns"}')
    quick = mlflow.pyfunc.load_model(folder)
    config = '{"form": "packed", "output": "component"}'
    monkeypatch.setenv("MLFLOW_PYFUNC_INFERENCE_CONFIG", config)
    packed = mlflow.pyfunc.load_model(folder)

    def answered(served, content, kind):
        answer = invocations(content, kind, served, served.metadata.get_input_schema())
        return json.loads(answer.response)["predictions"]

    def asked(served, **params):
        content = {"dataframe_split": rows.to_dict("split", index=False), "params": params}
        return answered(served, json.dumps(content), "application/json")

    def unpacked(column):
        ((kind, content),) = column.items()
        assert np.dtype(kind) == want["component"].dtype
        return np.frombuffer(base64.b64decode(content), kind).tolist()

    columns = {name: values.tolist() for name, values in want.items()}
    records = pd.DataFrame(want).to_dict("records")
    assert asked(plain, output="component") == records
    assert asked(plain, output="component", form="columns") == columns
    assert asked(quick, output="component") == columns
    assert asked(quick, output="component", form="rows") == records
    score = quick.predict(rows)["score"]
    np.testing.assert_array_equal(score, model.output(dict(rows.items()), "score")["score"])
    # CSV carries no parameters: output and form are those of the model as it was loaded.
    got = answered(packed, rows.to_csv(index=False), "text/csv")
    assert {name: unpacked(column) for name, column in got.items()} == columns
    texts = model.output(dict(rows.items()), "explanation")["explanation"].tolist()
    assert asked(packed, output="explanation") == {"explanation": texts}
    with pytest.raises(Exception, match="unknown form: got 'heap'; allowed: rows, columns, packed"):
        plain.predict(rows, params={"form": "heap"})


def test_the_signature(model):
    signature = packaging.signature(model)
    assert signature.inputs.input_names() == ["price", "delay", "rating"]
    assert {str(kind) for kind in signature.inputs.input_types()} == {"DataType.double"}
    assert [(p.name, p.default) for p in signature.params.params] == [
        ("output", ""), ("form", ""),
    ]  # fmt: skip


def test_the_example_is_the_centres_in_order_of_weight(model):
    rows = packaging.example_rows(model)
    order = np.argsort(-model.mixture.weights, kind="stable")
    np.testing.assert_allclose(model.to_matrix(rows), model.mixture.means[order], rtol=1e-12)


def imported(code: packaging.CarriedCode) -> list[str]:
    """Modules that the carried code imports, wherever in it."""
    trees = [ast.parse(text) for text in (code.script, *code.modules.values())]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    plain = [n.name for node in nodes if isinstance(node, ast.Import) for n in node.names]
    return plain + [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom) and not n.level]


class TestCarriedCode:
    def test_it_is_the_numerics_and_nothing_else(self):
        code = packaging.carried_code()
        assert {"codec.py", "model.py", "mixture.py", "errors.py"} <= set(code.modules)
        assert {"covariances/__init__.py", "covariances/kinds.py"} <= set(code.modules)
        assert all((PROJECT / "gmm_core" / name).is_file() for name in code.modules)
        assert "config.py" not in code.modules
        assert not [name for name in imported(code) if name.partition(".")[0] == "gmm_core"]
        needed = {line.partition("==")[0] for line in code.requirements}
        assert {"numpy", "pandas"} <= needed <= {"numpy", "scipy", "pandas"}

    @pytest.mark.parametrize(
        "line", ["import gmm_core.model", "import gmm_core", "from gmm_core import Mixture",
                 "from gmm_core.pipeline.ports import Check", "from .model import OUTPUTS"],
    )  # fmt: skip
    def test_what_cannot_be_renamed_is_refused(self, line):
        source = f"def late():\n    {line}\n"
        with pytest.raises(InvalidInput, match="cannot carry") as caught:
            list(packaging._imports(Path("some.py"), source))
        assert caught.value.got == line

    def test_other_imports_pass(self):
        source = "import numpy as np, json\nfrom gmm_core.model import A\nfrom scipy import stats\n"
        source += "from gmm_core.covariances.kinds import Full\n"
        found = list(packaging._imports(Path("some.py"), source))
        assert found == ["numpy", "json", "gmm_core.model", "scipy", "gmm_core.covariances.kinds"]

    def test_imports_for_type_checkers_alone_do_not_count(self):
        source = "if TYPE_CHECKING:\n    import mlflow\nelse:\n    import json\n"
        assert list(packaging._imports(Path("some.py"), source)) == ["json"]
        assert list(packaging._imports(Path("some.py"), source.replace("TYPE_", "X_"))) == [
            "mlflow", "json",
        ]  # fmt: skip

    def test_plots_and_quantiles_cost_a_served_model_no_requirement(self):
        code = packaging.carried_code()
        assert {"plotting.py", "quantiles.py"} <= set(code.modules)
        assert not {line.partition("==")[0] for line in code.requirements} & {"scipy", "matplotlib"}


class TestRecords:
    def test_two_checks_of_one_name_fail_together(self, report):
        checks = report().checks
        twice = type(report())("fit", (checks[0], type(checks[0])("mean kept", False)))
        assert records.report_metrics(twice)["gate/mean kept"] == 0

    def test_the_digest_is_of_the_answer_not_of_its_page(self, report):
        digest = records.report_digest
        assert digest(report(page="a")) == digest(report(page="b"))
        assert digest(report()) != digest(report("mean kept"))

    def test_the_table_keeps_every_cell(self, model):
        columns = records.component_columns(model)
        assert [len(values) for values in columns.values()] == [9] * 9
        weights = columns["weight"]
        assert weights == sorted(weights, reverse=True)


def test_what_is_stored_is_what_codec_writes(database, stream, model, lineage, report):
    registry = MlflowRegistry(database)
    registry.register(stream, model, lineage, report())
    where = registry._mlflow.client.get_model_version_download_uri(stream.name, "1")
    stored = Path(where.removeprefix("file://")) / "artifacts" / packaging.MODEL_FILE
    assert json.loads(stored.read_text()) == codec.to_dict(model)
