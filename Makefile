# `make demo` holds a spoken conversation with an agent, `make test` runs the tests.
# Both install what they need into .venv; the tests also install Debian packages, if they may.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
DEMO ?= demo
# Files, folders or options for pytest:  make test ARGS=tests/server
ARGS ?=

# The tests of a file stay together and in order, so they can share fixtures, and a new file needs
# no registration. Folders run in alphabetical order: slow ones come before the unit tests. Three
# processes for two cores, because most tests wait for audio or a disk.
IN_PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder

# uv searches PATH for the interpreters that agents need; pyenv's are on it only if selected.
empty :=
space := $(empty) $(empty)
export PATH := $(CURDIR)/$(BIN):$(PATH):$(subst $(space),:,$(wildcard $(HOME)/.pyenv/versions/3.1[23]*/bin)):/usr/sbin:/sbin
# The tools must not use the environment from which make was called.
unexport VIRTUAL_ENV
# Many container images set these. Without bytecode, each of several hundred processes would compile
# everything that it imports; unbuffered output would hide errors that users see.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONUNBUFFERED

.PHONY: help demo test unit coverage lint docs bench fuzz mutants lab clean

help:  ## Show the targets.
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 8

demo: .venv/.talk  ## Create an agent that needs no account, and hold a spoken conversation with it.
	@rm -rf $(DEMO)
	@voicecore init $(notdir $(DEMO)) --directory $(or $(patsubst %/,%,$(dir $(DEMO))),.) --pipeline offline --yes
	@voicecore talk --project $(DEMO) --record $(DEMO)/conversation.wav \
		--input voicecore/samples/what-time-is-it.wav \
		--input voicecore/samples/twelve-times-seven.wav
	@# The caller's shell need not have .venv/bin on its PATH, nor a microphone.
	@voicecore talk --list-devices --json | grep -q '"microphones": \[\]' && text=' --text' || text=; \
		echo "Talk to it yourself:  $(BIN)/voicecore talk --project $(DEMO)$$text"

test: .venv/.test lab  ## Run all tests, or those in ARGS.
	@python -m pytest $(IN_PARALLEL) $(ARGS)

# What is left open or never awaited, and what fails where no test can catch it.
STRICT := -W error::ResourceWarning -W error:coroutine:RuntimeWarning \
	-W error::pytest.PytestUnraisableExceptionWarning \
	-W error::pytest.PytestUnhandledThreadExceptionWarning

unit: .venv/.test  ## Run the fast tests, in less than a minute.
	@# Without the other plugins, each process starts 2 s sooner. With worksteal, it begins with a
	@# quarter of the files, and imports less.
	@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -p xdist --numprocesses 4 --dist worksteal \
		--quiet $(STRICT) -m 'not slow' tests/unit tests/golden tests/cli $(ARGS)

coverage: .venv/.test  ## Name the lines that no fast test executes; with ARGS=tests, no test at all.
	@rm -rf .coverage && mkdir .coverage
	@coverage run -m pytest $(IN_PARALLEL) $(or $(ARGS),-m 'not slow' tests/unit tests/golden tests/cli) \
		|| echo "Some tests failed; the lines that they executed count."
	@coverage combine --quiet && coverage report

lint: .venv/.test  ## Check style, prose and types.
	@ruff check . && ruff format --check . && python -m tests.prose && pyright

docs: .venv/.test  ## Build the docs site into site/.
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

bench: .venv/.test lab  ## Measure, and print rows for benchmarks/RESULTS.md.
	@python -m benchmarks

fuzz: export FUZZ_SECONDS ?= 600
fuzz: .venv/.test  ## Run the fuzzers for FUZZ_SECONDS each; `make test` gives each 15.
	@python -m pytest $(IN_PARALLEL) tests/fuzz $(ARGS)

mutants: .venv/.test  ## Plant faults in the modules whose paths contain ARGS; the tests must notice.
	@python -m tests.mutants $(ARGS)

lab: .venv/.test  ## Install the tools of the tests, and name what this machine lacks.
ifeq ($(shell uname),Linux)
	@tests/install
endif
	@python -m tests.requirements

.venv/.uv:
	@[ -n "$(PYTHON)" ] || { echo "voicecore needs Python 3.11 or newer, and found none."; exit 4; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { \
		echo "Python's venv module is missing; installing python3-venv"; \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq python3-venv >/dev/null \
		&& $(PYTHON) -m venv --clear .venv; } || { \
		echo "Could not create .venv. As root, run:  apt-get install python3-venv"; exit 4; }
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

clean:  ## Remove everything that these commands created.
	@rm -rf .venv .coverage $(DEMO) dist site .pytest_cache .ruff_cache
