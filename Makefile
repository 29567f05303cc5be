# Every target does its own set-up, on a machine with nothing but python3 (>= 3.11, with venv), make and git.
PYTHON ?= python3
VENV   ?= .venv
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2

BIN      := $(VENV)/bin
UV_PIP   := $(BIN)/uv pip install --quiet --python $(BIN)/python
STAMP    := $(VENV)/.made-
PYTEST   := $(BIN)/python -m pytest
SOAK     := $(PYTEST) -m soak --timeout=0
# A process takes the next file when it has done one; the longest come first, as their folders do by name.
FILE_BY_FILE := --dist loadfile --no-loadscope-reorder

# uv reads neither pip's index nor its certificate settings: hand them on, so that one set-up is enough.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# Else each process compiles all that it imports again, which takes most of its start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-worker setup-torch setup-all demo cluster test lint system-packages bench clean
.PHONY: soak soak-local soak-nomad soak-sim

help:
	@echo "make demo        set up, then translate and score 30 directions with a small model, on this machine"
	@echo "make test        set up, then lint and all tests"
	@echo "make cluster     a Nomad node and an S3 server on this machine to try things on, until Ctrl-C"
	@echo "make setup       the virtual environment at $(VENV), without torch; setup-torch adds what Hugging Face models"
	@echo "                 need, setup-all that and the developers' tools"
	@echo "make lint        ruff and mypy"
	@echo "make soak-local  200 kills of the coordinator on the local executor (10 to 40 minutes; goes on where it was)"
	@echo "make soak-nomad  100 kills and 60 faults on a real Nomad of three servers (30 to 40 minutes; the same)"
	@echo "make soak-sim    10,000 seeds of the simulation, 200 items each (the same)"
	@echo "make soak        these, and all else that is too long for make test (an hour or two)"
	@echo "make bench       the coordinator's overhead for 10,100 items; dispatches a second to Nomad; a million items; scoring; inference; packs; first lines; reports"
	@echo "make clean       remove $(VENV), caches and build products"

$(STAMP)build: requirements-build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is too old or missing: Python 3.11 or newer is needed; try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) cannot make a virtual environment; on Debian try: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-build.txt
	@touch $@

$(STAMP)core: $(STAMP)build requirements.txt requirements-report.txt pyproject.toml
	$(UV_PIP) -r requirements.txt -r requirements-report.txt
	$(UV_PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP)worker: $(STAMP)core requirements-worker.txt
	$(UV_PIP) -r requirements.txt -r requirements-worker.txt
	@touch $@

# For Hugging Face models, which the demo and the scoring do without: it is most of what there is to install.
$(STAMP)torch: $(STAMP)worker requirements-torch.txt
	$(UV_PIP) -r requirements.txt -r requirements-worker.txt -r requirements-torch.txt
	@touch $@

$(STAMP)dev: $(STAMP)core requirements-dev.txt requirements-fast.txt requirements-labels.txt requirements-monitor.txt \
  requirements-parquet.txt requirements-tensorboard.txt
	$(UV_PIP) -r requirements.txt -r requirements-dev.txt -r requirements-fast.txt -r requirements-labels.txt \
	  -r requirements-monitor.txt -r requirements-parquet.txt -r requirements-tensorboard.txt
	@touch $@

setup setup-worker: $(STAMP)worker
setup-torch: $(STAMP)torch
setup-all: $(STAMP)torch $(STAMP)dev

demo: setup
	$(BIN)/coordinator demo

cluster: setup
	@$(BIN)/python local-cluster/up.py

test: setup-all system-packages lint
	$(PYTEST) -m "not soak and not alone" -n $(TEST_PROCESSES) $(FILE_BY_FILE) $(PYTEST_ARGS)
	$(PYTEST) -m "alone and not soak" $(PYTEST_ARGS)

lint: setup-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

system-packages:
	@tests/system-packages.sh

soak: soak-sim system-packages
	$(SOAK) $(PYTEST_ARGS)

soak-local: setup-all
	$(SOAK) tests/acceptance/test_kills.py $(PYTEST_ARGS)

soak-nomad: setup-all
	$(SOAK) tests/acceptance/test_nomad_soak.py $(PYTEST_ARGS)

soak-sim: setup-all
	$(BIN)/python -m tests.simulation soak

bench: setup-all
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/dispatch.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/packs.py
	$(BIN)/python benchmarks/first_line.py
	$(BIN)/python benchmarks/reports.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
