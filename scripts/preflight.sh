#!/bin/sh
# Looks for what a machine must have before set-up: a Python and a Java that are new enough.
# Prints the Python to use; on a gap, one sentence saying what to install, and exit status 1.
set -u

fail() { printf 'blockmix: %s\n' "$1" >&2; exit 1; }

works() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

python=
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
    if command -v "$candidate" >/dev/null 2>&1 && works "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    seen=$(${PYTHON:-python3} --version 2>&1) || seen="no ${PYTHON:-python3}"
    fail "Install Python 3.11, 3.12 or 3.13 (found: $seen), or name one with make PYTHON=/path/to/python3.11."
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "Install the venv module of $python (on Debian: apt-get install python3-venv)."

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
command -v "$java" >/dev/null 2>&1 ||
    fail "Install Java 17 or newer (on Debian: apt-get install openjdk-17-jre-headless); Spark runs on it."
version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
[ "${version:-0}" -ge 17 ] 2>/dev/null ||
    fail "Install Java 17 or newer (found: Java ${version:-of unknown version}), or point JAVA_HOME at one."

printf '%s\n' "$python"
