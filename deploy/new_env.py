"""Writes .env with fresh secrets, from .env.example: `python3 deploy/new_env.py`.

Never touches a .env that is there: its passwords are those of the databases. Standard library only:
it runs on a machine that has nothing but Docker and a Python 3.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _accounts() -> str:
    return f"admin:admin:{secrets.token_urlsafe(18)}"


MAKERS: dict[str, Callable[[], str]] = {
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),  # HS512 wants 64 bytes
    "AIRFLOW_ACCOUNTS": _accounts,
}


def filled(example: str) -> str:
    """The text of `.env.example` with a fresh value after every `NAME=` that has none."""
    lines = []
    for line in example.splitlines():
        name, separator, value = line.partition("=")
        if separator and not value and not line.startswith("#"):
            line += MAKERS.get(name, lambda: secrets.token_urlsafe(32))()
        lines.append(line)
    return "\n".join(lines) + "\n"


def main(folder: Path = PROJECT) -> str:
    """Write `folder/.env`, for its owner's eyes only; returns what went wrong."""
    text = filled((folder / ".env.example").read_text(encoding="utf-8"))
    try:
        handle = os.open(folder / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return f"{folder / '.env'} is there already and stays as it is"
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return ""


if __name__ == "__main__":
    sys.exit(main() or 0)
