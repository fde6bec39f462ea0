# Everything is installed into $(VENV); nothing outside this folder is touched
# but pip's cache. Override on the command line: make test BACKEND=jax
PYTHON ?= python3
VENV ?= .venv
BACKEND ?= jax tensorflow torch
DEMO_EXTRAS ?= jax,recipes,music,plots
TABLE_EXTRAS ?= jax,table
TEST_EXTRAS ?= tensorflow,jax,torch,recipes,tuner,music,audio,plots,onnx,test
# Test processes at once; 0 is one, in which a debugger works.
WORKERS ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Python compiles what it imports; pip would compile all that is installed.
INSTALL := $(PIP) install --no-compile --constraint constraints.txt --editable
DEMO_STAMP := $(VENV)/.installed-demo
TABLE_STAMP := $(VENV)/.installed-table
TEST_STAMP := $(VENV)/.installed-test

# Small models: threads of one process get in each other's way, and workers
# share a GPU only where none takes all of its memory.
TEST_ENV := TF_CPP_MIN_LOG_LEVEL=3 OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
	XLA_PYTHON_CLIENT_PREALLOCATE=false TF_FORCE_GPU_ALLOW_GROWTH=true

.DEFAULT_GOAL := help
.PHONY: help demo forecast test lint format hooks clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' \
		Makefile
	@echo
	@echo "make test BACKEND=jax          tests on one backend"
	@echo "make test PYTEST_ARGS='-m slow'   the long tests"

demo: $(DEMO_STAMP) ## Train on Bach chorales, evaluate, sample: ten minutes.
	KERAS_BACKEND=jax TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m recipes demo

forecast: $(TABLE_STAMP) ## Forecast real series, and compare: five minutes.
	KERAS_BACKEND=jax TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m recipes \
		forecast climate
	KERAS_BACKEND=jax TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m recipes \
		backtest climate origins=3 stride=4

test: $(TEST_STAMP) ## Run the tests on every backend in turn.
	@failed=; trap 'exit 130' INT; \
	printf '\n######## no backend ########\n\n'; \
	$(BIN)/python -m pytest --plain only --numprocesses $(WORKERS) \
		--dist worksteal $(PYTEST_ARGS); \
	case $$? in 0|5) ;; *) failed=" none" ;; esac; \
	for backend in $(BACKEND); do \
		printf '\n######## backend: %s ########\n\n' "$$backend"; \
		env $(TEST_ENV) KERAS_BACKEND="$$backend" $(BIN)/python -m pytest \
			--plain skip --numprocesses $(WORKERS) --dist worksteal \
			$(PYTEST_ARGS) \
			|| failed="$$failed $$backend"; \
	done; \
	if [ -n "$$failed" ]; then \
		printf '\nTests failed on:%s\n' "$$failed" >&2; exit 1; \
	fi

lint: $(TEST_STAMP) ## Check format, lint and types; change nothing.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(TEST_STAMP) ## Format, and fix what can be fixed safely.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

hooks: $(TEST_STAMP) ## Check every commit with pre-commit.
	$(PIP) install pre-commit
	$(BIN)/pre-commit install

clean: ## Remove caches and build outputs; keep the environment and runs.
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find keras_fivo recipes tests -name __pycache__ -type d -prune \
		-exec rm -rf {} +

# pip comes last when an environment is made: where it is, the rest is.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit( \
		f"Python 3.11 or newer is needed. Received: {sys.version}. \
	Name one with: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(DEMO_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) ".[$(DEMO_EXTRAS)]"
	@touch $@

$(TABLE_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) ".[$(TABLE_EXTRAS)]"
	@touch $@

$(TEST_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) ".[$(TEST_EXTRAS)]"
	@touch $@
