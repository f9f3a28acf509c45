# make run     a running Setpoint with a model, without any key
# make test    every test, with coverage per room; then the gate on CPU per request, without
# make check   style, types, layers, tidiness
# make bench   CPU per request beside nginx, as ratios
# Each does its own set-up; a machine needs Python 3.11 or newer with venv, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENTS := .venv-clients

.PHONY: run test check bench venv format clean

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Setpoint needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say which one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: $(STAMP)
	$(BIN)/setpoint demo

test: $(STAMP)
	tools/system-packages.sh nginx
	$(BIN)/setpoint local install || echo "the local model cannot be installed here; its tests are skipped" >&2
	tools/clients/install.sh $(BIN)/python $(CLIENTS)
	$(BIN)/python tools/run_tests.py

check: $(STAMP)
	$(BIN)/ruff check src tests tools
	$(BIN)/ruff format --check src tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/tidy.py

format: $(STAMP)
	$(BIN)/ruff format src tests tools
	$(BIN)/ruff check --fix-only src tests tools

bench: $(STAMP)
	tools/system-packages.sh nginx wrk
	$(BIN)/python tools/bench.py

clean:
	rm -rf build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
