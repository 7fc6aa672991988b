# `make` lists the targets. Needed beforehand: Python 3.11, 3.12 or 3.13 with pip and venv, git, and make.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WARM := $(VENV)/.warm
EXTRAS := ray,s3,dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
UV := build/lock/bin/uv
PARITY := build/parity
TORCH := build/torch

# The first of these that runs and is of a version that we support; evaluated only where a recipe uses it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)

SLOW ?= slow or ray or browser

.DEFAULT_GOAL := help
.PHONY: help install models demo test slow parity torch check fix bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) models $(WARM) ## make .venv with the locked packages, fetch the models, compile the kernels

models: $(STAMP)
	@$(BIN)/python -m pipeline.fetch models

demo: install ## run recipes/quickstart.yaml on data fetched for it
	@$(BIN)/python -m pipeline.fetch quickstart
	@$(BIN)/vocabmill run recipes/quickstart.yaml

test: install ## the default tests and all doctests
	@$(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist worksteal

slow: install ## the slow proofs: tests marked slow, ray or browser
	@$(BIN)/python -m pipeline.fetch quickstart
	@$(BIN)/python -m pytest -q -m "($(SLOW)) and not network"

parity: install $(PARITY)/.installed ## the tests that need spaCy, in an environment over .venv that has it
	@$(PARITY)/bin/python -m pytest -q -m parity tests/operators

torch: install $(TORCH)/.installed ## the tests that need PyTorch, in an environment over .venv that has it
	@$(TORCH)/bin/python -m pipeline.fetch encoder causal
	@$(TORCH)/bin/python -m pytest -q -m torch tests/operators tests/pipeline

check: $(STAMP) ## lint, format and types; changes nothing
	@status=0; \
	$(BIN)/ruff check || status=1; \
	$(BIN)/ruff format --check || status=1; \
	$(BIN)/mypy || status=1; \
	exit $$status

fix: $(STAMP) ## mend what ruff can mend, and format
	@$(BIN)/ruff check --fix --exit-zero
	@$(BIN)/ruff format

bench: install ## measure what the README claims
	@$(BIN)/python -m benchmarks

lock: $(UV) ## compute requirements.lock again; all newest: make lock UPGRADE=--upgrade
	@$(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--extra ray --extra s3 --extra dev --extra parity --extra romanise --extra torch --extra openvino --no-annotate $(UPGRADE) \
		--custom-compile-command "make lock" --output-file requirements.lock

clean: ## remove .venv, caches and build products; leave data, runs and fetched models
	@rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "error: found no Python 3.11, 3.12 or 3.13 on the PATH;" \
		"install one, or name it: make install PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages of requirements.lock into $(VENV) (the first time: some minutes)"
	@$(PIP) install -qq --constraint requirements.lock --editable '.[$(EXTRAS)]'
	@touch $@

# On failure the log of the run is shown; a run's work is never read again.
$(WARM): $(STAMP) infra/warm.yaml $(wildcard operators/kernels/*.py)
	@echo "compiling the kernels: once, some minutes"
	@rm -rf build/warm build/.vocabmill build/warm.log && mkdir -p build
	@$(BIN)/vocabmill run infra/warm.yaml >build/warm.log 2>&1 || { cat build/warm.log >&2; exit 1; }
	@touch $@

# What is in .venv is seen there, and only what the extra adds is installed.
define over_venv
	@rm -rf $(1) && $(BIN)/python -m venv $(1)
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		>"$$($(1)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/base.pth"
	@$(1)/bin/python -m pip --disable-pip-version-check --no-input install -qq --constraint requirements.lock $(2)
	@touch $(1)/.installed
endef

$(PARITY)/.installed: $(STAMP)
	$(call over_venv,$(PARITY),spacy)

$(TORCH)/.installed: $(STAMP)
	$(call over_venv,$(TORCH),torch transformers sentence-transformers openvino)

$(UV):
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check install -qq uv
