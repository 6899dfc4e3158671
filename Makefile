# Every target sets up what it needs: a virtual environment with locked, hashed dependencies.
PYTHON ?= python3
ifneq ($(origin PYTHON),file)  # PYTHON=python3.13: an environment of its own, unless .venv is of that version
override PYTHON := $(or $(shell .ci/python $(PYTHON)),$(error PYTHON=$(PYTHON) does not run here))
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
KNOWN   := $(shell .venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV    ?= $(if $(filter-out $(VERSION),$(KNOWN)),.venv-$(VERSION),.venv)
endif
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 7417
HOST   ?= 127.0.0.1
# Tests at a time: most of what a test does is wait, so more than there are cores.
WORKERS ?= 3

.PHONY: help setup demo demo-enterprise test lint unit core web dist prove mutants bench lock clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 12

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.run web/node_modules/.built  ## the package, its pages and what they need to run

demo: $(VENV)/.run web/node_modules/.built  ## server, two agents and a chat page; HOST=0.0.0.0 lets other devices in
	$(BIN)/holdfast demo --host $(HOST) --port $(PORT)

demo-enterprise: $(VENV)/.run web/node_modules/.built  ## ninety simulated days of a company, its console and pages
	$(BIN)/holdfast demo-enterprise --host $(HOST) --port $(PORT)

test: lint unit web  ## everything that must hold before a change lands, in minutes

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

CLIENTS := $(addsuffix /node_modules/.installed,tests/dialects tests/dialects/gateway tests/browser/clients examples/ai_sdk_usechat)
unit: $(VENV)/.dev web/node_modules/.built $(CLIENTS)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

CORE := $(addprefix tests/unit/,protocol session client agents cli hub engines) tests/property tests/conformance
core: $(VENV)/.dev  ## what leans on the interpreter most, in a minute: for another version of Python
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -k "not typescript and not planted" $(CORE)

%/node_modules/.installed: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { echo "Node 20 or newer is needed for $*"; exit 1; }
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

WEB := $(shell find web -type f -not -path '*/node_modules*' -not -path '*/dist/*' -not -path '*/test/*')
web/node_modules/.built: web/node_modules/.installed $(WEB)
	cd web && npm run build --silent
	@touch $@

web: web/node_modules/.built $(VENV)/.run  ## the TypeScript client and what is built on it: build, types, tests
	cd web && npm run check --silent && HOLDFAST_BIN=$(abspath $(BIN)) npm test --silent

dist: $(VENV)/.run web/node_modules/.built  ## the wheel and the npm tarball, in dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	cd web/packages/client && npm pack --silent --pack-destination ../../../dist

mutants: $(VENV)/.dev  ## plant known bugs, one at a time, and see a test catch each
	$(BIN)/python -m tests.mutants.run

prove: $(VENV)/.dev web/node_modules/.built $(CLIENTS)  ## the long reliability programme; writes build/prove-report.md; PART="planted bugs" runs one part
	$(BIN)/python -m tests.prove.prove $(if $(PART),"$(PART)")

bench: $(VENV)/.dev  ## side-by-side benchmarks; writes benchmarks/RESULTS.md and the README's table
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m docs.tables

lock: $(VENV)/.dev  ## lock dependency versions with hashes and without addresses (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --all-extras pyproject.toml -o requirements/run.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/python requirements/extras.py

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf web/node_modules web/*/*/node_modules web/packages/*/dist
