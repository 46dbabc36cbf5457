"""The dbt package gmm_sql against the model in Python, on DuckDB and PostgreSQL; Spark: tests/spark."""

from __future__ import annotations

import duckdb
import pytest
from gmm_sql import REFUSED, agrees, density_model, mixed_model, parameters, queries_of, rows_of

from bench.postgres import Database, postgres_binaries
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.warehouse.queries import MixtureQuery, rendered

MODELS = {
    "one": density_model("diag", 1),
    "diagonal": density_model("diag", 3),
    "full": density_model("full", 3),
    "mixed": mixed_model(),
}
MISTAKES = ("swapped", "unlogged", "relevelled")


def test_duckdb():
    queries = queries_of("duckdb", MODELS)
    with duckdb.connect() as engine:
        for name, model in MODELS.items():
            rows = rows_of(model)
            engine.register(f"rows_{name}", rows)
            engine.register(f"parameters_{name}", parameters(model))
            scored, joint = (engine.sql(queries[name][m]).df() for m in ("scored", "joint"))
            agrees(model, rows, scored, joint)
        for mistake in MISTAKES:
            with pytest.raises(duckdb.Error, match=REFUSED):
                engine.sql(queries[mistake]["scored"]).df()
        told = parameters(MODELS["mixed"])
        engine.register("parameters_mixed", told[told["parameter"] != "feature"])
        engine.sql(queries["mixed"]["scored"]).df()  # the table of an earlier release
        engine.register("parameters_mixed", parameters(MODELS["full"]))
        with pytest.raises(duckdb.Error, match=REFUSED):
            engine.sql(queries["mixed"]["scored"]).df()


@pytest.mark.system
@pytest.mark.skipif(
    postgres_binaries() is None, reason="no PostgreSQL server (apt-get install postgresql)"
)
def test_postgres():
    import psycopg2

    queries, database = queries_of("postgres", MODELS), Database()
    try:
        for name, model in MODELS.items():
            rows = rows_of(model)
            database.load(f"rows_{name}", rows)
            database.load(f"parameters_{name}", parameters(model))
            agrees(model, rows, *(database.ask(queries[name][m]) for m in ("scored", "joint")))
        for mistake in MISTAKES:
            with pytest.raises(psycopg2.Error, match=REFUSED):
                database.ask(queries[mistake]["scored"])
        database.run("delete from parameters_mixed where parameter = 'log_level' and i = 4")
        with pytest.raises(psycopg2.Error, match=REFUSED):
            database.ask(queries["mixed"]["scored"])
    finally:
        database.close()


def test_what_cannot_be_rendered_is_refused():
    told = {"features": [Feature("x")], "stream": "it", "version": 1, "key": ["id"]}
    with pytest.raises(InvalidInput, match="a table's name"):
        MixtureQuery(**told, rows="orders; drop table orders")
    with pytest.raises(InvalidInput, match="one column or more"):
        MixtureQuery(**told | {"key": []}, rows="orders")
    query = MixtureQuery(**told, rows="shop.orders")
    with pytest.raises(InvalidInput, match="unknown engine: got 'oracle'; allowed: duckdb"):
        rendered("oracle", {"it": query})
    with pytest.raises(InvalidInput, match="name of a query"):
        rendered("duckdb", {"../it": query})
