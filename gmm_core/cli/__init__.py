"""The command line: `blockmix ...`.

app.py       the commands that jobs run: a verb of the pipeline each
people.py    the commands of people: go back, resume, release, react
terminal.py  options, progress and errors, the same for every command
tables.py    what the commands show
"""

from __future__ import annotations

__all__: list[str] = []
