# Every verb of the project. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-fault test test-long lint format lock clean

VENV ?= .venv
BIN := $(VENV)/bin
KEEP ?= 1
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## the virtual environment, from the lock

$(VENV)/.ready: requirements/lock.txt requirements/bootstrap.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh $(VENV)

demo: $(VENV)/.ready ## 14 days of baskets through the whole pipeline; KEEP=0 stops at the end
	@sh scripts/preflight.sh >/dev/null
	@$(BIN)/python -m demo --keep $(KEEP)

demo-fault: $(VENV)/.ready ## the same with one corrupted day, which ends in quarantine
	@sh scripts/preflight.sh >/dev/null
	@$(BIN)/python -m demo --keep $(KEEP) --fault

test: $(VENV)/.ready lint ## all tests but the long ones, in JOBS processes (2)
	@$(PYTEST) -m "not long"

test-long: $(VENV)/.ready lint ## every test
	@$(PYTEST)

lint: $(VENV)/.ready ## style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.ready ## rewrite the code in the house style
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(VENV)/.ready ## resolve the requirements anew
	@cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --override overrides.txt runtime.in dev.in -o lock.txt
	@cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url bootstrap.in -o bootstrap.txt

clean: ## forget the state of the demo; the environment stays
	rm -rf .blockmix .blockmix-fault
