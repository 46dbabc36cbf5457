"""Settings of an installation, read once from the environment (prefix `BLOCKMIX_`) and frozen."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gmm_core.errors import InvalidInput

__all__ = ["SPARK_CONF", "Settings", "load_settings"]

_PROJECT = Path(__file__).resolve().parent.parent
SPARK_CONF = _PROJECT / "configs" / "spark.conf"


class Settings(BaseSettings):
    """Where things are. Every field is an environment variable: `lake` is `BLOCKMIX_LAKE`.

    Paths that are not given lie under `home`, so one variable moves a whole installation.
    """

    model_config = SettingsConfigDict(env_prefix="BLOCKMIX_", frozen=True, extra="ignore")

    home: Path = Field(default=_PROJECT / ".blockmix", description="state of this installation")
    streams: Path = Field(default=_PROJECT / "dags" / "streams", description="stream files")
    lake: str = Field(default="", description="fsspec URL of the lake; default: home/lake")
    spark_remote: str = Field(
        default="",
        description="Spark Connect address (sc://host:port); empty: a session of one's own",
    )
    spark_master: str = Field(
        default="local[*]",
        description="Spark master without spark_remote: local[*], spark://, yarn or k8s://",
    )
    spark_conf: Path = Field(
        default=SPARK_CONF, description="Spark's settings without spark_remote: a properties file"
    )
    spark_jars: str = Field(
        default="", description="jars that Spark needs, such as a database's driver; commas between"
    )
    spark_connection: str = Field(
        default="", description="Airflow connection that fits are submitted to; empty: they are not"
    )
    tracking_uri: str = Field(default="", description="MLflow; default: SQLite under home")
    mlflow_ui: str = Field(
        default="", description="address people open; default: tracking_uri if http"
    )
    data_docs_ui: str = Field(
        default="", description="address of Data Docs; default: the local files"
    )
    warehouse: str = Field(
        default="", description="folder of the DuckDB files; default: home/warehouse"
    )

    @cached_property
    def lake_url(self) -> str:
        return self.lake or str(self.home / "lake")

    @cached_property
    def mlflow_uri(self) -> str:
        return self.tracking_uri or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @cached_property
    def mlflow_page(self) -> str:
        """Address of MLflow's pages, empty when no server is running."""
        uri = self.mlflow_ui or self.mlflow_uri
        return uri if uri.startswith("http") else ""

    @cached_property
    def quality_root(self) -> Path:
        """Where Great Expectations keeps its results and Data Docs."""
        return self.home / "quality"

    @cached_property
    def warehouse_root(self) -> Path:
        return Path(self.warehouse) if self.warehouse else self.home / "warehouse"

    def environment(self) -> dict[str, str]:
        """The variables that give another process these very settings."""
        prefix = self.model_config["env_prefix"]
        return {f"{prefix}{name}".upper(): str(value) for name, value in self.model_dump().items()}


def load_settings() -> Settings:
    """Read the settings; raises `InvalidInput` naming the variable, the value and what is allowed."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "BLOCKMIX_" + "_".join(str(part) for part in first["loc"]).upper()
        raise InvalidInput(
            f"environment variable {name} is wrong", got=first["input"], bound=first["msg"]
        ) from None
