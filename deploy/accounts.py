"""Gives Airflow its accounts, then becomes the given command: `accounts.py airflow api-server ...`.

`AIRFLOW_ACCOUNTS` holds `name:role:password`, separated by commas; roles are viewer, user, op and
admin. Airflow wants the names in one variable and the passwords in a file it can write to: the
file lies in the container's memory, readable by its owner alone, and is made anew at every start.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROLES = ("viewer", "user", "op", "admin")
SHORTEST = 12  # characters of a password
VARIABLE = "AIRFLOW_ACCOUNTS"


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Airflow's list of users, and the password of each; a `ValueError` never shows a password."""
    users: list[str] = []
    passwords: dict[str, str] = {}
    for number, entry in enumerate(text.split(","), start=1):
        name, role, password = (*entry.strip().split(":", 2), "", "")[:3]
        where = f"{VARIABLE}: entry {number} ({name or 'without a name'})"
        if not name or not password:
            raise ValueError(f"{where} is not name:role:password")
        if role.lower() not in ROLES:
            raise ValueError(f"{where} has role {role!r}; allowed: {', '.join(ROLES)}")
        if len(password) < SHORTEST:
            raise ValueError(f"{where} has a password of fewer than {SHORTEST} characters")
        if name in passwords:
            raise ValueError(f"{where} comes twice")
        users.append(f"{name}:{role.lower()}")
        passwords[name] = password
    if not any(user.endswith(":admin") for user in users):
        raise ValueError(f"{VARIABLE} has no account with role admin")
    return ",".join(users), passwords


def environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of an API server with these accounts; their passwords go to a new file."""
    users, passwords = parse(given.get(VARIABLE, ""))
    handle, path = tempfile.mkstemp(prefix="accounts-", suffix=".json", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(passwords, file)
    rest = {name: value for name, value in given.items() if name != VARIABLE}
    return rest | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": path,
    }


def main() -> None:
    """Set the accounts up and become the command."""
    command = sys.argv[1:]
    try:
        env = environment(os.environ, Path(tempfile.gettempdir()))
    except ValueError as error:
        sys.exit(str(error))
    os.execvpe(command[0], command, env)  # noqa: S606  (the compose file's own command)


if __name__ == "__main__":
    main()
