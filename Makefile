# Works from a bare clone with Python 3.11 or later and make.
PYTHON ?= python3
VENV ?= .venv
PEERS := .peers
DEMO_OUT ?= demo-out
JOBS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OTHER_PYTHONS := 3.12 3.13

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv peers demo test test-spark test-all check format bench bench-full bench-peers bench-gate clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## create the virtual environment and install everything into it

# PIP_CONSTRAINT besides -c: it also pins what the isolated build of the package installs.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(0 if sys.version_info >= (3, 11) else "attrib needs Python 3.11 or later, this is " + v + "; try: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,spark,dev]'
	@touch $@

# Permissive licences only, and never in our own environment.
peers: $(PEERS)/.installed  ## install the packages whose answers the tests compare ours with

$(PEERS)/.installed: tests/peers/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r tests/peers/requirements.txt
	@touch $@

demo: $(STAMP)  ## the main job on generated data: the per-stage table and where its files are
	$(BIN)/attrib demo --out $(DEMO_OUT)

# The second run allows about one bucket of events in memory: everything larger goes through the spill folder. It leaves
# out what forces that itself (awkward), what is about other packages, and Spark, the later stages, experiments, the
# generator and its truth, where nothing spills. JOBS processes share the cores, so that the threads of linear algebra
# would only stand in each other's way.
# what is tried a second time with little memory: tests that read events, each by itself (tests/awkward does both anyway)
SPILLED := tests/parity tests/property tests/spec \
    $(addprefix tests/unit/test_, $(addsuffix .py, compare interactions jackknife literature player_interactions positions routes store touches transitions views views_funnel))

test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
# Compiled ahead, by two processes at once: otherwise each of the JOBS processes would compile much of it for itself.
test: $(STAMP)  ## all tests but the doctests and the long ones, in memory and out of it, in JOBS processes
	NUMBA_CACHE_DIR=$(or $(NUMBA_CACHE_DIR),.cache/numba) $(BIN)/attrib warm-up --generator
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations=10 $(ARGS)
	ATTRIB_MEMORY_LIMIT=100KB HYPOTHESIS_PROFILE=$(or $(HYPOTHESIS_PROFILE),again) \
	    $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --quiet --ignore=tests/parity/test_peers.py \
	    $(or $(ARGS),$(SPILLED))

test-spark: $(STAMP)  ## all tests with Spark, the long ones too
	$(BIN)/python -m pytest -m "spark or spark_long" tests/spark $(ARGS)

test-all: test  ## the tests on the other Pythons too, where present
	@for version in $(OTHER_PYTHONS); do \
	    found=; \
	    for candidate in python$$version $$HOME/.pyenv/versions/$$version*/bin/python; do \
	        if "$$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then echo "Python $$version is not present: skipped"; continue; fi; \
	    echo "== Python $$version ($$found)"; \
	    $(MAKE) --no-print-directory test PYTHON="$$found" VENV=.venv-$$version || exit 1; \
	done

check: export OMP_NUM_THREADS = 1
check: export OPENBLAS_NUM_THREADS = 1
check: $(STAMP)  ## formatter, linter, types, import layers, doctests, experiments up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(JOBS) --quiet -p tests.conftest --doctest-modules src
	$(BIN)/attrib experiment --check $(dir $(wildcard experiments/*/experiment.toml))

format: $(STAMP)  ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SUITES := startup solve tally run profile ingest memory growth scoring replay engines

bench: $(STAMP)  ## time and memory of every suite at 10^6 touchpoints, in minutes; writes docs/benchmarks.md anew
	@set -e; for suite in $(SUITES); do $(BIN)/python -m benchmarks.$$suite $(ARGS); done
	$(BIN)/python -m benchmarks.page

# Without other work on the machine; the page's goals are judged by these.
bench-full: $(STAMP) $(PEERS)/.bench-installed  ## the same up to 10^8 touchpoints, and the other packages: for the night
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.solve --full
	$(BIN)/python -m benchmarks.tally --touchpoints 1e6 1e7
	$(BIN)/python -m benchmarks.run --touchpoints 1e6 1e7 1e8
	$(BIN)/python -m benchmarks.profile --touchpoints 1e7
	$(BIN)/python -m benchmarks.ingest --touchpoints 1e6 1e7
	$(BIN)/python -m benchmarks.inputs --touchpoints 1e7
	$(BIN)/python -m benchmarks.memory --touchpoints 1e6 1e7 1e8
	$(BIN)/python -m benchmarks.growth --full
	$(BIN)/python -m benchmarks.scoring --touchpoints 1e6 1e7
	$(BIN)/python -m benchmarks.replay
	$(BIN)/python -m benchmarks.engines --touchpoints 1e6 1e7 1e8
	$(BIN)/python -m benchmarks.peers --journeys 1e5 1e6
	$(BIN)/python -m benchmarks.page

# ChannelAttribution is GPL and never installed here; its adapter says how to include it.
bench-peers: $(STAMP) $(PEERS)/.bench-installed  ## time and memory beside other packages; ARGS="…" is handed on
	$(BIN)/python -m benchmarks.peers $(ARGS)
	$(BIN)/python -m benchmarks.page

$(PEERS)/.bench-installed: $(PEERS)/.installed benchmarks/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet -r tests/peers/requirements.txt -r benchmarks/peers/requirements.txt
	@touch $@

bench-gate: $(STAMP)  ## is HEAD slower than BASE=rev? both run here in turn
	$(BIN)/python -m benchmarks.gate --base $(or $(BASE),origin/main) $(ARGS)

clean:  ## remove environments, caches and outputs
	rm -rf .venv .venv-* $(PEERS) build dist $(DEMO_OUT) .cache .benchmarks .hypothesis .import_linter_cache .mypy_cache \
	    .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
