# Everything runs in .venv, which is made from Python packages alone, locked with hashes.
#
#   make demo           the School at https://localhost:8443   (PORT=… DATA=… DATABASE=postgresql://…)
#   make test           every check that needs nothing but Python  (COVERAGE=1 measures branches too: twice the time)
#   make test-postgres  the tests for which the store matters, on PostgreSQL instead of SQLite
#   make differential   the same policies in memory and on both stores (CASES=20000 SEED=…)
#   make mutation       what no test notices, where rules are decided (MINUTES=30 SAMPLE=200 SEED=1)
#   make system-test    what needs Debian packages (as root it installs them)
#   make bench          throughput on this machine (PARTS=sqlite,postgres,peers,depth,visibility SECONDS=4 OUT=build/bench)
#   make format         let ruff rewrite the code
#   make lock           pin the dependencies again             (UPGRADE=1 for the newest)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PORT ?= 8443
DATA ?= ./data
DATABASE ?=
# One more than two processors have: some tests wait for a clock.
WORKERS ?= 3
PYTEST_ARGS ?=
COVERAGE ?=
UPGRADE ?=
PARTS ?=
SECONDS ?=
OUT ?=

# A relative DATA is meant from where make was called; not every shell replaces the ~ of DATA=~/….
override DATA := $(patsubst ~/%,$(HOME)/%,$(DATA))
ifeq ($(filter /%,$(DATA)),)
override DATA := $(CURDIR)/$(DATA)
endif

SYSTEM_PACKAGES := bind9-host chromium curl fonts-dejavu-core slowhttptest testssl.sh
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCKED := $(PIP) install --quiet --require-hashes -r

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

# Environment ------------------------------------------------------------------------------
# One stamp for each step: a changed lock file runs its step again, an unchanged one costs nothing.

RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
SYSTEM := $(VENV)/.system-installed
BENCH := $(VENV)/.bench-installed
PROJECT := $(VENV)/.project-installed

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Vallum needs Python 3.11 or newer; there is no '$(PYTHON)'. Name one: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Vallum needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1 | head -n 1). Name another: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "'$(PYTHON)' cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.txt requirements/build.txt | $(BIN)/python
	@echo "Installing what Vallum runs on (requirements/run.txt)"
	@$(LOCKED) requirements/run.txt -r requirements/build.txt
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@echo "Installing what the checks run on (requirements/dev.txt)"
	@$(LOCKED) requirements/dev.txt
	@touch $@

$(SYSTEM): requirements/system.txt $(RUN)
	@echo "Installing what the system tests run on (requirements/system.txt)"
	@$(LOCKED) requirements/system.txt
	@touch $@

$(BENCH): requirements/bench.txt $(RUN)
	@echo "Installing what the benchmark compares with (requirements/bench.txt)"
	@$(LOCKED) requirements/bench.txt
	@touch $@

$(PROJECT): pyproject.toml $(RUN)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: venv
venv: $(DEV) $(PROJECT)

# Use --------------------------------------------------------------------------------------

.PHONY: demo
demo: $(RUN) $(PROJECT)
	@exec "$(CURDIR)/$(BIN)/python" -P examples/school/school/demo.py --data "$(DATA)" --port "$(PORT)" --database "$(DATABASE)"

.PHONY: bench
bench: $(DEV) $(PROJECT) $(BENCH)
	@exec $(BIN)/python -m benchmarks.run $(if $(PARTS),--parts $(PARTS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(OUT),--out $(OUT))

# Checks -----------------------------------------------------------------------------------

.PHONY: lint
lint: $(DEV) $(PROJECT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --timeout 120 $(if $(COVERAGE),--cov --cov-report=term) $(PYTEST_ARGS)

# What make test runs on SQLite and this on PostgreSQL: the path, served processes and commands among it, and the School.
# What is not here: tests/unit/store and tests/property have files for each store, which make test runs; tests/unit/audit is about
# a chain of rows, which the commands and the path make and verify on PostgreSQL as well; the other
# units serve small APIs on SQLite where they need a store at all. What is about SQLite alone among those that are here says
# `@pytest.mark.stores("sqlite")`, with the reason beside it.
.PHONY: test-postgres
test-postgres: $(DEV) $(PROJECT)
	TEST_STORES=postgresql $(BIN)/pytest -n $(WORKERS) --dist loadfile --timeout 120 $(PYTEST_ARGS) tests/path tests/unit/cli examples/school

CASES ?= 20000
SEED ?=

.PHONY: differential
differential: $(DEV) $(PROJECT)
	DIFFERENTIAL_CASES=$(CASES) DIFFERENTIAL_SEED=$(SEED) $(BIN)/pytest -s $(PYTEST_ARGS) tests/property/test_differential.py

MINUTES ?= 30
SAMPLE ?= 200

.PHONY: mutation
mutation: $(DEV) $(PROJECT)
	PYTHONPATH=. $(BIN)/python -m tests.mutation.run --minutes $(MINUTES) --sample $(SAMPLE) --seed $(or $(SEED),1) $(FILES)

.PHONY: format
format: $(DEV)
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: system-test
system-test: $(DEV) $(PROJECT) $(SYSTEM) $(BENCH)
	@missing=""; \
	for package in $(SYSTEM_PACKAGES); do dpkg -s "$$package" >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" != 0 ]; then echo "make system-test needs these packages: apt-get install$$missing" >&2; exit 1; fi; \
	if [ -n "$$missing" ]; then \
	  apt-get -qq update; \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing >/dev/null; \
	fi
	PATH="$(CURDIR)/$(BIN):$$PATH" bash tests/system/run

# Upkeep -----------------------------------------------------------------------------------
# run.txt first; the others take its versions, so that one environment can hold all of them.

UV := $(VENV)/lock-tools/bin/uv
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --generate-hashes \
  --python-version 3.11 --no-annotate $(if $(UPGRADE),--upgrade)

$(UV): requirements/lock.txt | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/lock-tools
	@$(VENV)/lock-tools/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/lock.txt
	@touch $@

.PHONY: lock
lock: $(UV)
	$(COMPILE) pyproject.toml --extra postgres -o requirements/run.txt
	$(COMPILE) pyproject.toml --all-extras --group dev -c requirements/run.txt -o requirements/dev.txt
	$(COMPILE) --group system -c requirements/dev.txt -o requirements/system.txt
	$(COMPILE) --group bench -c requirements/dev.txt -c requirements/system.txt -o requirements/bench.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) --group lock -o requirements/lock.txt

.PHONY: clean
clean: # leaves DATA alone
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache \
	  .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
