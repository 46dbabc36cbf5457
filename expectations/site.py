"""The quality site: a Great Expectations project on disk, safe for many processes at a time.

    <root>/gx/great_expectations.yml   written from here, identical whoever writes it
    <root>/gx/results/...              one file per validation, a path of its own each time
    <root>/gx/docs/...                 Data Docs: one page per validation, overviews above them

Suites, validation definitions and checkpoints live in memory: code is where they come from, and a
process cannot meet another's half-written suite of the same name. What is on disk is either written
once under a path of its own or, as the overviews are, replaced in one step under a file lock.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import great_expectations as gx
import numpy as np
from great_expectations.exceptions import DataContextError

from expectations.pages import locked, replace_text

__all__ = ["Site"]

_IN_MEMORY = "{class_name: InMemoryStoreBackend}"
_PROJECT = f"""\
# Written by Blockmix; changes are overwritten.
config_version: 4.0
data_context_id: 1f5a7c52-6f0e-4f7e-9d6c-5b3f0c2a8e11
analytics_enabled: false
progress_bars: {{globally: false}}
plugins_directory:
config_variables_file_path:
stores:
  expectations_store: {{class_name: ExpectationsStore, store_backend: {_IN_MEMORY}}}
  checkpoint_store: {{class_name: CheckpointStore, store_backend: {_IN_MEMORY}}}
  validation_definition_store:
    class_name: ValidationDefinitionStore
    store_backend: {_IN_MEMORY}
  validation_results_store:
    class_name: ValidationResultsStore
    store_backend: {{class_name: TupleFilesystemStoreBackend, base_directory: results/}}
expectations_store_name: expectations_store
checkpoint_store_name: checkpoint_store
validation_results_store_name: validation_results_store
data_docs_sites:
  quality:
    module_name: expectations.pages
    class_name: QualitySite
    show_how_to_buttons: false
    store_backend: {{class_name: TupleFilesystemStoreBackend, base_directory: docs/}}
    site_section_builders: {{expectations: none, profiling: none}}
fluent_datasources:
  pandas:
    type: pandas
    assets: {{block: {{type: dataframe, batch_definitions: {{whole: {{}}}}}}}}
  spark:
    type: spark
    persist: false
    assets: {{block: {{type: dataframe, batch_definitions: {{whole: {{}}}}}}}}
"""


class Site:
    """Validates frames against suites, keeps the results, and publishes their pages.

    Parameters
    ----------
    root : folder of the project; made on first use.
    docs_url : address under which `<root>/gx/docs` is served; empty when it is not.
    """

    def __init__(self, root: Path, docs_url: str = "") -> None:
        self.home = Path(root).absolute() / "gx"
        self.docs_url = docs_url.rstrip("/")

    @cached_property
    def context(self) -> Any:
        """The project, opened once per process."""
        self.home.mkdir(parents=True, exist_ok=True)
        project = self.home / "great_expectations.yml"
        with locked(self.home):
            if not project.is_file() or project.read_text(encoding="utf-8") != _PROJECT:
                replace_text(project, _PROJECT)
            return gx.get_context(mode="file", context_root_dir=str(self.home))

    def validate(self, frame: Any, suite: Any, key: str, source: str) -> tuple[Any, str]:
        """Validate a frame, keep the result, publish its page.

        Parameters
        ----------
        frame : pandas or Spark frame.
        suite : named `<stream>.<gate>`; replaces the one of that name.
        key : block key, the name of the run.
        source : "pandas" or "spark".

        Returns
        -------
        result : the suite's validation result.
        page : address of its page: a URL when the site is served, else the path of the file.
        """
        context = self.context
        checkpoint = self._checkpoint(suite, source)
        # The run's time is given: a run name that looks like a date would become it.
        run = gx.RunIdentifier(run_name=key, run_time=dt.datetime.now(dt.UTC))
        with np.errstate(invalid="ignore"):  # an infinite value has no standard deviation
            outcome = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=run)
        ((identifier, result),) = outcome.run_results.items()
        context.build_data_docs(resource_identifiers=[identifier])
        return result, self._address(identifier)

    def _checkpoint(self, suite: Any, source: str) -> Any:
        context, name = self.context, suite.name
        data = context.data_sources.get(source).get_asset("block").get_batch_definition("whole")
        # Deleted and added: an update compares every expectation with every other one, which for a
        # stream of 64 features takes minutes.
        for kept in (context.checkpoints, context.validation_definitions, context.suites):
            with suppress(DataContextError):
                kept.delete(name)
        definition = gx.ValidationDefinition(name=name, data=data, suite=context.suites.add(suite))
        definitions = [context.validation_definitions.add(definition)]
        return context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=definitions))

    def _address(self, identifier: Any) -> str:
        page = Path("validations", *identifier.to_tuple()).as_posix() + ".html"
        return f"{self.docs_url}/{quote(page)}" if self.docs_url else str(self.home / "docs" / page)
