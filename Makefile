# Two commands do the work: `make demo` holds a spoken conversation, `make test` runs the tests.
# Each installs what it needs into .venv (and, for the tests, Debian packages).

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BIN := .venv/bin
DEMO ?= demo

# A file's tests stay together and in order, so that what they share is made once and a new file
# needs to know of nothing. The order is the folders': what takes long comes before unit tests.
# Three for two cores, because most of the time is spent listening, and waiting for a disk.
BESIDE_EACH_OTHER := --numprocesses 3 --dist loadfile --no-loadscope-reorder

# uv looks on the PATH for the interpreters that agents ask for; pyenv's are there only if selected.
empty :=
space := $(empty) $(empty)
export PATH := $(CURDIR)/$(BIN):$(PATH):$(subst $(space),:,$(wildcard $(HOME)/.pyenv/versions/3.1[23]*/bin))
# The tools must not take the environment of whoever called make for their own.
unexport VIRTUAL_ENV
# Where this is set, as in many container images, each of some hundred processes would compile all
# that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint docs bench lab clean

help:  ## Show what can be made.
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 8

demo: .venv/.talk  ## Make an agent that needs no account, and hold a spoken conversation with it.
	@rm -rf $(DEMO)
	@voicecore init $(notdir $(DEMO)) --directory $(or $(patsubst %/,%,$(dir $(DEMO))),.) --pipeline offline --yes
	@voicecore talk --project $(DEMO) --record $(DEMO)/conversation.wav \
		--input voicecore/samples/what-time-is-it.wav \
		--input voicecore/samples/twelve-times-seven.wav
	@voicecore talk --list-devices --json | grep -q '"microphones": \[\]' || \
		echo "Talk yourself:  source .venv/bin/activate && voicecore talk --project $(DEMO)"

test: .venv/.test lab lint  ## Run all tests.
	@python -m pytest $(BESIDE_EACH_OTHER)

lint: .venv/.test  ## Check style and types.
	@ruff check . && ruff format --check . && pyright

docs: .venv/.test  ## Build the docs site into site/.
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

bench: .venv/.test lab  ## Measure, and print rows for benchmarks/RESULTS.md.
	@python -m benchmarks

lab:  ## Install the real parts of the tests: a sound server, a terminal, network namespaces.
ifeq ($(shell uname),Linux)
	@tests/install
endif

.venv/.uv:
	@[ -n "$(PYTHON)" ] || { echo "voicecore needs Python 3.11 or newer, and found none."; exit 4; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { \
		echo "Python's venv module is missing; installing it"; \
		$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv >/dev/null \
		&& $(PYTHON) -m venv --clear .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

.venv/.talk: .venv/.uv pyproject.toml
	@echo "Installing voicecore into .venv"
	@uv pip install --quiet --python $(BIN)/python --editable '.[talk]'
	@touch $@

.venv/.test: .venv/.talk pyproject.toml
	@echo "Installing the tests' packages into .venv"
	@uv pip install --quiet --python $(BIN)/python --group test
	@touch $@

clean:  ## Remove everything that these commands made.
	@rm -rf .venv $(DEMO) dist site .pytest_cache .ruff_cache
