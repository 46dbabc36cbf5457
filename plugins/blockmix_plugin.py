"""Links from a task to its pages: *MLflow* (the run or the model version), *Data Docs* (the report).

A Blockmix task publishes its pages as one XCom, also when a gate refuses; the API server looks them
up when somebody opens *Details* of the task. A task without such a page gets no link.

Airflow loads every module of this folder under its bare name, so this one stays alone here and is
not named after anything importable.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.models.taskinstancekey import TaskInstanceKey

__all__ = ["BlockmixPlugin", "DataDocsLink", "MlflowLink"]

PAGES = "pages"  # the XCom key; dags/blockmix_run.py writes it
TAG = "blockmix"  # of every DAG whose tasks have pages


def task_pages(operator: Any, ti_key: TaskInstanceKey) -> dict[str, str]:
    """The pages a task published, by name; empty for tasks of other DAGs."""
    if TAG not in operator.dag.tags:
        return {}
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            run_id=ti_key.run_id,
            dag_ids=ti_key.dag_id,
            task_ids=ti_key.task_id,
            map_indexes=ti_key.map_index,
            key=PAGES,
        )
        found = session.execute(query.with_only_columns(XComModel.value)).first()
    value = found.value if found else {}
    return dict(json.loads(value) if isinstance(value, str) else value)


class PageLink(BaseOperatorLink):
    """A link to one of a task's pages; a page that is only a local file is not one for a browser."""

    page: str

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        address = task_pages(operator, ti_key).get(self.page, "")
        return address if address.startswith(("http://", "https://")) else ""


class MlflowLink(PageLink):
    """The MLflow run of a fit, or the model version of a window."""

    name = "MLflow"
    page = "mlflow"


class DataDocsLink(PageLink):
    """The report of the gate that looked at the task's result."""

    name = "Data Docs"
    page = "data_docs"


class BlockmixPlugin(AirflowPlugin):
    """Registers the links."""

    name = "blockmix"
    global_operator_extra_links: ClassVar[list[Any]] = [MlflowLink(), DataDocsLink()]
