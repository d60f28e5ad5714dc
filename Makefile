# make race | test | check | serve; each makes .venv when it is missing.
PYTHON ?= python3
BUDGET ?= 3m
BIN = .venv/bin

.PHONY: race test check lint conformance serve sweep client screenshots clean

.venv/engine: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[engine]'
	touch $@

.venv/test: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch .venv/engine $@

race: .venv/engine  ## a whole race on this machine
	$(BIN)/igla race --budget $(BUDGET)

test: .venv/test  ## every test, a thread a process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/test  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

client: .venv/engine  ## write the typed client, server/client.py, from the tools
	$(BIN)/python -m server.client_source

conformance: .venv/test  ## the official MCP conformance suite, where npm can be reached
	PYTHON=$(BIN)/python tests/conformance/run.sh

check: lint test  ## what a commit must pass

serve: .venv/engine  ## the server on this machine
	$(BIN)/igla serve

sweep: .venv/engine  ## every rule x composition x levels, two hundred steps each; tens of minutes; writes docs/sweep.md
	$(BIN)/python benchmarks/sweep.py --out docs/sweep.md

screenshots: .venv/test  ## every page of the dashboard as a picture, in build/screenshots
	PYTHONPATH=. $(BIN)/python tests/browser/screenshots.py

clean:
	rm -rf .venv *.egg-info
