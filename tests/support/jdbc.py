"""Where this machine has the driver with which Spark reads PostgreSQL."""

from __future__ import annotations

from pathlib import Path

__all__ = ["POSTGRES_JAR"]

# Debian's package libpostgresql-jdbc-java; tests that need it are skipped without it.
POSTGRES_JAR = next(map(str, Path("/usr/share/java").glob("postgresql.jar")), "")
