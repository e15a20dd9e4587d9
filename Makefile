# Everything a person types. Each target sets up what it needs; nothing outside this folder is touched but
# the key that seals what gates have found (docs/gates.md). Files are named from here on: make parts a name at its blanks,
# and the folder of a clone may have some.

RECIPE ?= demo
PORT ?= 3000
PYTHON ?= python3
TEST_WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export DAGSTER_HOME := $(CURDIR)/.dagster
export MW_DATA ?= data
# Dagster warns that its stable command has a newer sibling, and that partitioned checks are young; both are known.
export PYTHONWARNINGS := ignore

.PHONY: demo test test-fast ui lint clean help

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# Two processes do the pieces of corpus, dataset and matrices, unless MW_WORKERS says otherwise; the bytes are those of one.
demo: export MW_WORKERS ?= 2
demo: $(INSTALLED) .dagster/dagster.yaml  ## Raw rows to packaged weights: make demo [RECIPE=us-fr MW_DATA=folder]
	@$(BIN)/python -m assets.plan "$(RECIPE)" | PATH="$$PWD/$(BIN):$$PATH" sh -ex

test: $(INSTALLED)  ## All tests
	$(BIN)/python -W default -m pytest -q -n $(TEST_WORKERS)

test-fast: $(INSTALLED)  ## The tests that take seconds
	$(BIN)/python -W default -m pytest -q -n $(TEST_WORKERS) -m "not slow"

ui: $(INSTALLED) .dagster/dagster.yaml  ## The Dagster UI with its daemon, on loopback
	$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

lint: $(INSTALLED)  ## Formatting, lint rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:  ## Remove the store, the releases and Dagster's records; keep the installation
	rm -rf .mw .dagster releases

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

.dagster/dagster.yaml: dagster.yaml
	mkdir -p .dagster
	cp dagster.yaml $@
