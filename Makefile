# Everything runs in .venv, made here from pyproject.toml; nothing needs to be installed or activated first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# labgrid brings a fork of pyserial under the same name: it has a place of its own.
FARM := .venv-farm

# Each of the thousands of processes of the tests would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test check flaky dates lint bench farm soak wheel fuzz schema screenshots fonts pictures wiring types docs docs-serve clean
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
	@for m in framebuf.pyi machine.pyi micropython.pyi vfs.pyi _mpy_shed; do \
		ln -sf $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/$$m $(VENV)/stubs/; done
	@touch $@

run: $(STAMP)  ## The main job: a token keyed into a meter, three codes and a rollover (drill ceet)
	@$(BIN)/jeton drill ceet

test: $(STAMP)  ## Lint, types and every test, on CPython and in MicroPython
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 3 --dist worksteal

# Of the rest only what has no board, and no building of a wheel, is quick enough.
CHECKED := tests/unit tests/both tests/conformance

check: $(STAMP)  ## The inner loop: lint, types, unit tests and those for both interpreters
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(CHECKED)

RUNS ?= 10

flaky: $(STAMP)  ## Every test RUNS=10 times, each second time beside busy loops: what ever failed?
	@$(BIN)/python -m tests.flaky --runs $(RUNS) -n 3 --dist worksteal

dates: $(STAMP)  ## Every test at the ends of years and months, in other zones (needs faketime)
	@$(BIN)/python -m tests.dates -n 3 --dist worksteal

lint: $(STAMP)  ## ruff, mypy and import-linter over host tools and firmware
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache

wheel: $(STAMP)  ## Build the wheel, in dist/
	@$(BIN)/python -m hatchling build -t wheel

bench: $(STAMP)  ## Measure what the README claims, as a table
	@$(BIN)/python -m tests.bench

$(FARM)/.installed: pyproject.toml
	@$(PYTHON) -m venv $(FARM)
	@$(FARM)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[labgrid]' pytest hatchling
	@touch $@

farm: $(FARM)/.installed  ## A farm of boards on this computer: labgrid, its exporter, ser2net
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; \
	[ "$$(id -u)" = 0 ] && sudo= || sudo=sudo; \
	command -v ser2net >/dev/null \
		|| { command -v apt-get >/dev/null && $$sudo apt-get install -y --no-install-recommends ser2net; } \
		|| { command -v brew >/dev/null && brew install ser2net; } \
		|| { echo "farm: install ser2net, 4.3 or newer, by your system's packages: it is needed"; exit 1; }
	@$(FARM)/bin/python -m pytest tests/farm

soak: $(STAMP)  ## Cut the power 100,000 times, kill 500 times, 20,000 examples of the model
	@$(BIN)/python -m tests.power_cut
	@JETON_KILLS=500 $(BIN)/python -m pytest tests/device/test_kills.py -s
	@JETON_MODEL_EXAMPLES=20000 $(BIN)/python -m pytest tests/model -s

FUZZ_S ?= 60
FUZZ_TARGETS = decoder console state load_steps csv issued_tokens profile provisioning batch_decode \
	batch_encode batch_derive key_file

fuzz: $(STAMP)  ## Look for inputs that hurt decoder and parsers, FUZZ_S=60 seconds for each
	@if ! $(BIN)/python -c 'import atheris' 2>/dev/null \
		&& ! $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=atheris \
			-e '.[fuzz]' >/dev/null 2>&1; then \
		echo "fuzz: there is no wheel of atheris for this Python and system: skipped"; exit 0; \
	fi; \
	for target in $(or $(TARGET),$(FUZZ_TARGETS)); do \
		echo "fuzz: $$target, $(FUZZ_S) s"; \
		$(BIN)/python -m tests.hostile.fuzz $$target $(FUZZ_S) 2>&1 \
			| awk '/ERROR|Exception|Error:|Traceback|File "|number_of_exec|crash-/ { print "  " $$0; \
				if (/ERROR: libFuzzer|crash-/) hurt = 1 } END { exit hurt }' || exit 1; \
	done

schema: $(STAMP)  ## Write the JSON Schema of profiles, in firmware/profiles
	@$(BIN)/python -m jeton_host.firmware.profile_schema

screenshots: $(STAMP)  ## Draw the pictures of `jeton run` and of drills, in docs/pictures
	@$(BIN)/python -m jeton_host.screen.pictures
	@$(BIN)/python -m jeton_host.drills.picture

fonts: $(STAMP)  ## Draw the fonts of the displays of dots, in firmware/fonts
	@$(BIN)/python -m jeton_host.firmware.draw_fonts

pictures: $(STAMP)  ## Draw what displays and terminals show, in docs/hardware and docs/pictures
	@$(BIN)/python tests/hardware/pictures.py
	@$(BIN)/python -m jeton_host.bench.wiring.terminal
	@$(BIN)/python tests/examples/pictures.py

wiring: $(STAMP)  ## Write tables, pictures and simulator files of the boards' wires
	@$(BIN)/python -m jeton_host.bench.wiring

types: $(STAMP)  ## Write the types of the record and of profiles, in firmware/jeton/fields.pyi
	@$(BIN)/python -m jeton_host.firmware.types

$(VENV)/.installed-docs: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

# What the theme says about its own future is not about these pages.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1

docs: $(VENV)/.installed-docs  ## Build the documentation site, in site/: open site/index.html
	@$(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

docs-serve: $(VENV)/.installed-docs  ## Show the documentation site, and each change of a page
	@$(BIN)/python -m mkdocs serve

clean:  ## Remove .venv and everything made
	rm -rf $(VENV) $(FARM) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
