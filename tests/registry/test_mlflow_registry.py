"""The `ModelRegistry` port over a real database and a real server: the same contract on both."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from orders import KEYS

from gmm_core import codec
from gmm_core.errors import InvalidInput, NotFound, ServiceUnavailable
from gmm_core.registry import mlflow_registry, records
from gmm_core.registry.mlflow_registry import MlflowRegistry


def client(registry):
    return registry._mlflow.client


def runs(registry, stream):
    found = client(registry).get_experiment_by_name(stream.name)
    return [] if found is None else list(client(registry).search_runs([found.experiment_id]))


def artifact(registry, run, name, folder):
    return Path(client(registry).download_artifacts(run.info.run_id, name, str(folder))).read_text()


class TestLogFit:
    def test_the_run_says_everything(self, registry, stream, fit, report, run_of, tmp_path):
        summary = fit()
        page = registry.log_fit(stream, summary, report("weights sum to 1", page="http://docs/1"))
        assert re.fullmatch(r"http://mlflow\.example/#/experiments/\d+/runs/[0-9a-f]{32}", page)
        run = run_of(page)
        assert run.info.run_name == f"fit {KEYS[0]}"
        assert run.info.status == "FINISHED"
        assert run.data.params["k"] == "3"
        assert run.data.params["covariance_type"] == "full"
        assert run.data.params["features"] == "log(price), log1p(delay), rating"
        metrics = run.data.metrics
        assert metrics["rows"] == summary.rows == 200
        assert metrics["log_likelihood"] == pytest.approx(summary.fit.log_likelihood, rel=1e-12)
        assert metrics["iterations"] == summary.fit.iterations
        assert metrics["largest_weight"] == pytest.approx(summary.mixture.weights.max())
        worst = summary.mixture.condition_numbers().max()
        assert metrics["worst_condition_number"] == pytest.approx(worst)
        assert metrics["gate/mean kept"] == 1
        assert metrics["gate/weights sum to 1"] == 0
        assert metrics["gate/price_ condition"] == 1
        assert metrics["gate_failures"] == 1
        tags = run.data.tags
        assert tags["block_key"] == KEYS[0]
        assert tags["input_digest"] == summary.input_digest
        assert tags["summary_digest"] == summary.digest
        assert tags["status"] == summary.fit.status
        assert (tags["gate"], tags["gate_score"]) == ("failed", "2/3")
        stored = json.loads(artifact(registry, run, "summary.json", tmp_path))
        assert codec.from_dict(stored).digest == summary.digest
        gate = json.loads(artifact(registry, run, "gate.json", tmp_path))
        assert [check["passed"] for check in gate["checks"]] == [True, False, True]
        assert gate["page"] == "http://docs/1"

    def test_the_same_content_has_one_run(self, registry, stream, fit, report):
        first = registry.log_fit(stream, fit(), report())
        assert registry.log_fit(stream, fit(), report()) == first
        # Another process has nothing in memory to go by.
        other = MlflowRegistry(registry._mlflow.tracking_uri, registry._ui_url)
        assert other.log_fit(stream, fit(), report()) == first
        assert len(runs(registry, stream)) == 1

    def test_other_rows_or_another_block_have_another_run(self, registry, stream, fit, report):
        summaries = [fit(), fit(seed=1), fit(KEYS[1])]
        pages = [registry.log_fit(stream, summary, report()) for summary in summaries]
        assert len(set(pages)) == 3

    def test_another_answer_of_the_gate_replaces_the_one_before(
        self, registry, stream, fit, report, run_of, tmp_path
    ):
        page = registry.log_fit(stream, fit(), report("mean kept"))
        assert registry.log_fit(stream, fit(), report()) == page
        run = run_of(page)
        assert run.data.tags["gate"] == "passed"
        assert run.data.metrics["gate/mean kept"] == 1
        assert run.data.metrics["gate_failures"] == 0
        assert json.loads(artifact(registry, run, "gate.json", tmp_path))["passed"] is True

    def test_a_run_that_broke_off_does_not_count(self, registry, stream, fit, report, monkeypatch):
        with monkeypatch.context() as patch:
            # What the gate says cannot be written: the run must not pass for a whole one.
            patch.setattr(records, "report_record", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                registry.log_fit(stream, fit(), report())
        assert [run.info.status for run in runs(registry, stream)] == ["FAILED"]
        registry.log_fit(stream, fit(), report())
        assert sorted(run.info.status for run in runs(registry, stream)) == ["FAILED", "FINISHED"]


class TestRegister:
    def test_the_version_carries_exactly_the_tags(self, registry, stream, model, lineage, report):
        made = registry.register(stream, model, lineage, report())
        assert (made.stream, made.version, made.tags) == (stream.name, 1, lineage)
        assert made.page == f"http://mlflow.example/#/models/{stream.name}/versions/1"
        stored = client(registry).get_model_version(stream.name, "1")
        assert dict(stored.tags) == lineage
        assert stored.status == "READY"
        assert stored.description == (
            f"Window mixture of 2 blocks, {KEYS[0]} to {KEYS[1]}: 3 components (full), 400 rows."
        )
        registered = client(registry).get_registered_model(stream.name)
        assert registered.description == stream.description
        assert registry.register(stream, model, lineage, report()).version == 2

    def test_the_run_behind_the_version(self, registry, stream, model, lineage, report, tmp_path):
        registry.register(stream, model, lineage, report())
        run_id = client(registry).get_model_version(stream.name, "1").run_id
        run = client(registry).get_run(run_id)
        assert run.info.run_name == f"merge {KEYS[1]}"
        assert run.info.status == "FINISHED"
        assert lineage.items() <= run.data.tags.items()
        assert run.data.params["strategy"] == "default"
        assert run.data.metrics["blocks"] == 2
        assert run.data.metrics["effective_rows"] == run.data.metrics["rows"] == 400
        assert run.data.metrics["gate/mean kept"] == 1
        table = json.loads(artifact(registry, run, "components.json", tmp_path))
        cells = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
        assert len(cells) == 9
        weights = [cell["weight"] for cell in cells if cell["feature"] == "price"]
        assert sum(weights) == pytest.approx(1)
        assert cells[0]["weight"] == pytest.approx(model.mixture.weights.max())

    def test_the_files_of_the_model(self, registry, stream, model, lineage, report, tmp_path):
        registry.register(stream, model, lineage, report())
        from mlflow.artifacts import download_artifacts

        where = client(registry).get_model_version_download_uri(stream.name, "1")
        uri = registry._mlflow.tracking_uri
        folder = Path(download_artifacts(where, dst_path=str(tmp_path / "files"), tracking_uri=uri))
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert {"artifacts/model.json", "model_card.md", "served_model.py", "MLmodel"} <= names
        suffixes = {Path(name).suffix for name in names}
        assert suffixes <= {".json", ".md", ".py", ".yaml", ".txt", ".png", ""}
        content = json.loads((folder / "artifacts" / "model.json").read_text())
        assert content["schema"] == "blockmix/density_model/1"
        card = (folder / "model_card.md").read_text()
        assert lineage["block_set_hash"] in card
        assert "| price | log | euro | 0.01 to 10000 |" in card
        shown = re.findall(r"!\[.*\]\((.*)\)", card)
        assert sorted(shown) == sorted(name for name in names if name.endswith(".png"))
        assert len(shown) == 2
        requirements = (folder / "requirements.txt").read_text()
        assert f"numpy=={np.__version__}" in requirements
        assert "pandas==" in requirements

    def test_a_tag_of_the_lineage_is_missing(self, registry, stream, model, lineage, report):
        del lineage["rows"]
        with pytest.raises(InvalidInput, match=r"rows is missing"):
            registry.register(stream, model, lineage, report())
        assert registry.find(stream.name, {}) is None

    def test_a_version_that_broke_off_is_not_there(
        self, registry, stream, model, lineage, report, monkeypatch
    ):
        with monkeypatch.context() as patch:
            patch.setattr(records, "component_columns", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                registry.register(stream, model, lineage, report())
        assert registry.find(stream.name, {}) is None
        assert [run.info.status for run in runs(registry, stream)] == ["FAILED"]
        assert registry.register(stream, model, lineage, report()).version == 1


class TestFind:
    def test_the_newest_with_all_tags(self, registry, stream, model, lineage, report, monkeypatch):
        monkeypatch.setattr(mlflow_registry, "_AT_ONCE", 2)  # so that three versions need two pages
        for settings in ("old", "old", "new"):
            registry.register(stream, model, {**lineage, "settings": settings}, report())
        assert registry.find(stream.name, {"settings": "old"}).version == 2
        assert registry.find(stream.name, {"settings": "new"}).version == 3
        assert registry.find(stream.name, {}).version == 3
        hashed = {"block_set_hash": lineage["block_set_hash"]}
        assert registry.find(stream.name, {**hashed, "settings": "old"}).version == 2
        assert registry.find(stream.name, {**hashed, "settings": "none"}) is None
        assert registry.find(stream.name, {"no such tag": ""}) is None

    def test_all_of_them_newest_first(self, registry, stream, model, lineage, report, monkeypatch):
        monkeypatch.setattr(mlflow_registry, "_AT_ONCE", 2)
        assert registry.versions(stream.name) == []
        made = [
            registry.register(stream, model, {**lineage, "settings": str(n)}, report())
            for n in range(3)
        ]
        assert registry.versions(stream.name) == made[::-1]

    def test_values_are_not_a_language(self, registry, stream, model, lineage, report):
        odd = "x' or name != '"
        registry.register(stream, model, {**lineage, "settings": odd}, report())
        assert registry.find(stream.name, {"settings": odd}).version == 1
        assert registry.find(stream.name, {"settings": "y' or name != '"}) is None

    def test_no_model_yet(self, registry, stream):
        assert registry.find(stream.name, {}) is None

    @pytest.mark.parametrize("name", ["", "x' or name != '", "../up", "Upper", None])
    def test_what_is_not_a_stream_name(self, registry, name):
        with pytest.raises(InvalidInput, match="wrong stream name"):
            registry.find(name, {})


class TestAlias:
    def test_absent_then_set_then_moved(self, registry, stream, model, lineage, report):
        assert registry.alias(stream.name, "champion") is None
        first = registry.register(stream, model, lineage, report())
        assert registry.alias(stream.name, "champion") is None
        registry.point(stream.name, "champion", 1)
        assert registry.alias(stream.name, "champion") == first
        second = registry.register(stream, model, lineage, report())
        registry.point(stream.name, "champion", 2)
        registry.point(stream.name, "previous", 1)
        assert registry.alias(stream.name, "champion") == second
        assert registry.alias(stream.name, "previous") == first

    def test_it_points_only_at_what_is_there(self, registry, stream, model, lineage, report):
        with pytest.raises(NotFound, match=r"no such version .* got 1"):
            registry.point(stream.name, "champion", 1)
        registry.register(stream, model, lineage, report())
        with pytest.raises(NotFound, match=r"no such version .* got 2"):
            registry.point(stream.name, "champion", 2)
        with pytest.raises(InvalidInput, match="wrong alias"):
            registry.point(stream.name, "Champion!", 1)


class TestLoad:
    def test_the_same_model_to_the_last_bit(self, registry, stream, model, lineage, report):
        registry.register(stream, model, lineage, report())
        loaded = registry.load(stream.name, 1)
        assert codec.to_dict(loaded) == codec.to_dict(model)
        rows = {"price": [10.0, 1e-9], "delay": [3.0, 1e6], "rating": [0.0, 7.0]}
        for output in ("score", "log_prob"):
            np.testing.assert_array_equal(
                loaded.output(rows, output)[output], model.output(rows, output)[output]
            )

    def test_no_such_version(self, registry, stream, model, lineage, report):
        with pytest.raises(NotFound, match=r"no such version of .* got 1"):
            registry.load(stream.name, 1)
        registry.register(stream, model, lineage, report())
        with pytest.raises(NotFound, match=r"no such version of .* got 7"):
            registry.load(stream.name, 7)
        with pytest.raises(NotFound):
            registry.version(stream.name, 0)

    def test_one_version(self, registry, stream, model, lineage, report):
        made = registry.register(stream, model, lineage, report())
        assert registry.version(stream.name, 1) == made


def test_a_deleted_experiment_says_how_to_restore_it(database, stream, fit, report):
    registry = MlflowRegistry(database)
    assert registry.log_fit(stream, fit(), report()) == ""  # no address for pages, no page
    number = client(registry).get_experiment_by_name(stream.name).experiment_id
    client(registry).delete_experiment(number)
    with pytest.raises(ServiceUnavailable, match=f"restore --experiment-id {number}"):
        MlflowRegistry(database).log_fit(stream, fit(), report())


class TestNotes:
    def test_measures_are_a_series_of_the_version_and_its_model(
        self, registry, stream, model, lineage, report
    ):
        made = registry.register(stream, model, lineage, report())
        for step, value in ((1, 0.5), (2, 0.25)):
            registry.measure(
                stream.name, made.version, {"silhouette": value, "drifting": 0.0}, step
            )
        found = client(registry).get_model_version(stream.name, str(made.version))
        series = client(registry).get_metric_history(found.run_id, "silhouette")
        assert [(one.step, one.value) for one in series] == [(1, 0.5), (2, 0.25)]
        outputs = client(registry).get_run(found.run_id).outputs.model_outputs
        logged = client(registry).get_logged_model(outputs[0].model_id)
        assert {one.key for one in logged.metrics} >= {"silhouette", "drifting"}

    def test_tags_are_added_to_a_version(self, registry, stream, model, lineage, report):
        made = registry.register(stream, model, lineage, report())
        registry.annotate(stream.name, made.version, {"rolled_back": "ann: why not"})
        tags = registry.version(stream.name, made.version).tags
        assert tags == {**lineage, "rolled_back": "ann: why not"}
        assert registry.find(stream.name, lineage).version == made.version
        with pytest.raises(NotFound):
            registry.annotate(stream.name, 99, {"a": "b"})

    def test_notes_of_a_model_come_and_go(self, registry, stream, model, lineage, report):
        assert registry.notes(stream.name) == {}
        with pytest.raises(NotFound):
            registry.note(stream.name, "hold", "x")
        registry.register(stream, model, lineage, report())
        assert registry.notes(stream.name) == {}, "the owner's tag is none of ours"
        registry.note(stream.name, "hold", '{"why": "too many"}')
        registry.note(stream.name, "drift_baseline", "2024-05-01")
        registry.note(stream.name, "hold", None)
        registry.note(stream.name, "hold", None)
        assert registry.notes(stream.name) == {"drift_baseline": "2024-05-01"}
        with pytest.raises(InvalidInput):
            registry.note(stream.name, "../x", "y")
