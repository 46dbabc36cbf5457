#!/bin/sh
# Makes the virtual environment from the hash-locked requirements. Run by make; safe to run again.
# shellcheck disable=SC2086  # $quiet is two words on purpose
set -eu

venv=$1
python=$(sh scripts/preflight.sh)

say() { printf 'blockmix: %s\n' "$1" >&2; }

say "setting up $venv (about 2 GB; one to five minutes, once)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
quiet="--quiet --disable-pip-version-check"
"$venv/bin/python" -m pip install $quiet --require-hashes -r requirements/bootstrap.txt
# Compiled once here, or every process would compile what it imports where bytecode is not kept.
# uv brings the environment to the lock several times faster than pip; where it cannot reach the
# packages (pip has a mirror configured that uv does not know of), pip installs the same files. The
# lock is complete, and leaves out what overrides.txt does: so no dependencies beyond it.
"$venv/bin/uv" pip sync --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes requirements/lock.txt ||
    { say "uv could not install the lock; trying pip"
      "$venv/bin/python" -m pip install $quiet --no-deps --require-hashes -r requirements/lock.txt; }
"$venv/bin/python" -m pip install $quiet --no-deps --no-build-isolation --no-index --editable .
touch "$venv/.ready"
say "set-up done"
