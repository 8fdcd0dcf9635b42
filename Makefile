# Everything runs in .venv, made here from pyproject.toml; nothing needs to be installed or activated first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help run test lint bench screenshots clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Jeton needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 run")'
	@echo "Making $(VENV): once, about a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@# The stubs of the modules only a board has, where mypy looks for them (pyproject.toml).
	@mkdir -p $(VENV)/stubs
	@for m in machine.pyi micropython.pyi vfs.pyi _mpy_shed; do \
		ln -sf $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/$$m $(VENV)/stubs/; done
	@touch $@

run: $(STAMP)  ## The main job: a token keyed into a meter, three codes and a rollover (drill ceet)
	@$(BIN)/jeton drill ceet

test: $(STAMP)  ## Lint, types and every test, on CPython and in MicroPython
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2

lint: $(STAMP)  ## ruff and mypy over host tools and firmware
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP)  ## Measure what the README claims, as a table
	@$(BIN)/python -m tests.bench

screenshots: $(STAMP)  ## Draw the pictures of `jeton run`, in host_tools/screen/pictures
	@$(BIN)/python -m host_tools.screen.pictures

clean:  ## Remove .venv and everything made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
