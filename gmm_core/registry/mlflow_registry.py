"""The `ModelRegistry` port over MLflow: one experiment and one registered model per stream.

A version appears in one step, with all its tags, after its files are there: a reader sees a whole
version or none.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmm_core import codec
from gmm_core.errors import InvalidInput, NotFound
from gmm_core.model import DensityModel
from gmm_core.pipeline.ports import GateReport, ModelVersion
from gmm_core.pipeline.streams import Stream, parse_key
from gmm_core.registry import packaging, records
from gmm_core.registry.connection import Connection
from gmm_core.registry.notes import Notes
from gmm_core.registry.runs import Runs
from gmm_core.summary import BlockSummary

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

__all__ = ["MlflowRegistry"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{8,128}")
_AT_ONCE = 100  # versions asked for at once; the one looked for is nearly always the newest


class MlflowRegistry:
    """Versions, aliases and fit runs in MLflow.

    Parameters
    ----------
    tracking_uri : `http://host:port` of a server, or `sqlite:///path` (made when not there).
    ui_url : address people open, for the pages; empty for none.
    artifact_root : where files go; by default the server's choice, or beside the SQLite database.

    Every method raises `ServiceUnavailable` when MLflow does not answer.
    """

    def __init__(
        self, tracking_uri: str, ui_url: str = "", artifact_root: str | None = None
    ) -> None:
        self._mlflow = Connection(tracking_uri, artifact_root)
        self._runs = Runs(self._mlflow)
        self._notes = Notes(self._mlflow)
        self._ui_url = ui_url.rstrip("/")

    def log_fit(self, stream: Stream, summary: BlockSummary, report: GateReport) -> str:
        """Record a block fit, one run per block and summary digest; returns the run's page.

        Content that was recorded before gets no second run; a gate that now says something else
        about it replaces what the run says.
        """
        parse_key(summary.key)
        _check(_DIGEST, summary.digest, "summary digest", "8 to 128 hexadecimal digits")
        identity = {"block_key": summary.key, "summary_digest": summary.digest}
        with self._mlflow.asking(f"record the fit of {stream.name} {summary.key}"):
            found = self._runs.finished(stream.name, identity)
            if found is None:
                run_id = self._log_new_fit(stream, summary, report)
            else:
                run_id, tags = found
                if tags.get("gate_digest") != records.report_digest(report):
                    self._log_report(run_id, report)
            experiment = self._runs.experiment(stream.name)
        return self._page(f"experiments/{experiment}/runs/{run_id}")

    def register(
        self, stream: Stream, model: DensityModel, tags: dict[str, str], report: GateReport
    ) -> ModelVersion:
        """Add a version: a run with the report, the pyfunc, and the version with exactly `tags`.

        Raises `InvalidInput` when the tags lack part of the lineage (records.LINEAGE).
        """
        records.check_lineage(tags)
        client = self._mlflow.client
        with self._mlflow.asking(f"register a version of {stream.name}"):
            self._ensure_model(stream)
            name, kind = f"merge {tags['last_block']}", {"kind": "merge"}
            with self._runs.run(stream.name, name, {**tags, **kind}) as run_id:
                logged = self._log_model(run_id, stream, model, tags, report)
                metrics = records.window_metrics(model, tags)
                params = records.window_params(stream, model)
                self._runs.log(run_id, metrics, params, {}, logged.model_id)
                client.log_table(run_id, records.component_columns(model), "components.json")
                self._log_report(run_id, report)
            made = client.create_model_version(
                stream.name,
                # Not models:/<id>: MLflow would look that up at the process-wide address.
                source=logged.artifact_location,
                run_id=run_id,
                tags=tags,
                description=records.describe(model, tags),
                await_creation_for=0,
                model_id=logged.model_id,
            )
        return self._version(made)

    def find(self, stream: str, tags: dict[str, str]) -> ModelVersion | None:
        """The newest version that carries all these tags."""
        # Tags are free text: compared here, they need no quoting in MLflow's filters.
        carrying = (v for v in self._newest_first(stream) if tags.items() <= v.tags.items())
        return next(carrying, None)

    def versions(self, stream: str) -> list[ModelVersion]:
        """All versions, newest first; none when the stream is not known."""
        return list(self._newest_first(stream))

    def version(self, stream: str, version: int) -> ModelVersion:
        """One version; raises `NotFound`."""
        _check(_NAME, stream, "stream name", _NAME.pattern)
        client = self._mlflow.client
        try:
            with self._mlflow.asking(f"look up version {version} of {stream}"):
                return self._version(client.get_model_version(stream, str(int(version))))
        except NotFound:
            raise NotFound(f"no such version of {stream} in MLflow", got=version) from None

    def load(self, stream: str, version: int) -> DensityModel:
        """The model of a version, from its JSON file; raises `NotFound`."""
        self.version(stream, version)  # for its plain message when there is no such version
        client, uri = self._mlflow.client, self._mlflow.tracking_uri
        from mlflow.artifacts import download_artifacts

        with (
            self._mlflow.asking(f"load version {version} of {stream}"),
            tempfile.TemporaryDirectory(prefix="blockmix-") as scratch,
        ):
            folder = client.get_model_version_download_uri(stream, str(version))
            path = download_artifacts(
                f"{folder}/artifacts/{packaging.MODEL_FILE}", dst_path=scratch, tracking_uri=uri
            )
            text = Path(path).read_text(encoding="utf-8")
        return codec.from_dict(json.loads(text), DensityModel)

    def alias(self, stream: str, alias: str) -> ModelVersion | None:
        """The version an alias points to now, or `None`."""
        _check(_NAME, stream, "stream name", _NAME.pattern)
        _check(_NAME, alias, "alias", _NAME.pattern)
        client = self._mlflow.client
        try:
            with self._mlflow.asking(f"look up alias {alias} of {stream}"):
                return self._version(client.get_model_version_by_alias(stream, alias))
        except InvalidInput:
            # MLflow calls an absent alias an invalid parameter and an absent model not found;
            # both names were checked above, so neither can mean anything else here.
            return None

    def point(self, stream: str, alias: str, version: int) -> None:
        """Move an alias; raises `NotFound` when there is no such version."""
        _check(_NAME, alias, "alias", _NAME.pattern)
        self.version(stream, version)
        with self._mlflow.asking(f"move alias {alias} of {stream}"):
            self._mlflow.client.set_registered_model_alias(stream, alias, str(version))

    def measure(self, stream: str, version: int, values: Mapping[str, float], step: int) -> None:
        """Add metrics to a version; `step` orders values of the same name."""
        _check(_NAME, stream, "stream name", _NAME.pattern)
        self._notes.measure(stream, version, values, step)

    def annotate(self, stream: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a version; raises `NotFound`."""
        self.version(stream, version)
        self._notes.annotate(stream, version, tags)

    def notes(self, stream: str) -> dict[str, str]:
        """What is noted of the stream's registered model; nothing when there is none."""
        _check(_NAME, stream, "stream name", _NAME.pattern)
        return self._notes.read(stream)

    def note(self, stream: str, name: str, text: str | None) -> None:
        """Note something of the registered model, or with `None` strike it; raises `NotFound`."""
        _check(_NAME, stream, "stream name", _NAME.pattern)
        _check(_NAME, name, "name of a note", _NAME.pattern)
        self._notes.write(stream, name, text)

    def _log_new_fit(self, stream: Stream, summary: BlockSummary, report: GateReport) -> str:
        name, tags = f"fit {summary.key}", records.fit_tags(summary)
        with self._runs.run(stream.name, name, tags) as run_id:
            metrics, params = records.fit_metrics(summary), records.fit_params(stream, summary)
            self._runs.log(run_id, metrics, params, {})
            self._mlflow.client.log_dict(run_id, codec.to_dict(summary), "summary.json")
            self._log_report(run_id, report)
        return run_id

    def _log_report(self, run_id: str, report: GateReport) -> None:
        # The digest goes last: until it is there, the report counts as not written.
        self._mlflow.client.log_dict(run_id, records.report_record(report), "gate.json")
        self._runs.log(run_id, records.report_metrics(report), {}, records.report_tags(report))

    def _ensure_model(self, stream: Stream) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._mlflow.client.create_registered_model(
                stream.name, tags={"owner": stream.owner}, description=stream.description
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _log_model(
        self,
        run_id: str,
        stream: Stream,
        model: DensityModel,
        tags: dict[str, str],
        report: GateReport,
    ) -> LoggedModel:
        """Make the model folder and upload it; returns MLflow's entry for it."""
        from mlflow.entities import LoggedModelOutput

        client = self._mlflow.client
        logged = client.create_logged_model(
            self._runs.experiment(stream.name),
            name=stream.name,
            source_run_id=run_id,
            tags=tags,
            params=records.window_params(stream, model),
            model_type="density",
        )
        try:
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
            card = records.model_card(stream, model, tags, report)
            with tempfile.TemporaryDirectory(prefix="blockmix-") as scratch:
                folder = packaging.save_served_model(model, card, logged, Path(scratch))
                client.log_model_artifacts(logged.model_id, str(folder))
        except BaseException:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        return client.finalize_logged_model(logged.model_id, "READY")

    def _newest_first(self, stream: str) -> Iterator[ModelVersion]:
        """Versions, asked for a page at a time."""
        _check(_NAME, stream, "stream name", _NAME.pattern)
        token: str | None = None
        while token != "":
            with self._mlflow.asking(f"search the versions of {stream}"):
                page = self._mlflow.client.search_model_versions(
                    f"name = '{stream}'", _AT_ONCE, ["version_number DESC"], token
                )
            yield from (self._version(found) for found in page if found.status == "READY")
            token = page.token or ""

    def _version(self, found: MlflowVersion) -> ModelVersion:
        number = int(found.version)
        page = self._page(f"models/{found.name}/versions/{number}")
        return ModelVersion(found.name, number, dict(found.tags), page)

    def _page(self, path: str) -> str:
        return f"{self._ui_url}/#/{path}" if self._ui_url else ""


def _check(pattern: re.Pattern[str], value: Any, what: str, bound: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidInput(f"wrong {what}", got=value, bound=bound)
