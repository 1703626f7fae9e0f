# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types contracts docs coverage wheel-check gpu gpu-wheels

# Exact, tested versions; the stamp is renewed when they change.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[all,dev]'
	touch $@

demo: $(VENV)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

# One thread a process: processes that wait for each other's threads are slower than one.
test: lint types contracts docs
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

contracts: $(VENV)/installed
	$(BIN)/lint-imports

# Strict: a warning is an error. Pages that are written from the code are written anew.
docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going docs build/docs
	@echo "build/docs/index.html"

# Which lines no test runs. Slower than the tests alone, so a figure is measured for a release.
coverage: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --cov=histodistill --cov-report=term:skip-covered

# The wheel alone, in an empty environment, runs the README's first experiment; takes minutes.
wheel-check: $(VENV)/installed
	$(BIN)/python -m tests.wheel_check

# What only an NVIDIA GPU can show: tests, then benchmarks, in build/gpu/report.txt. It installs
# from build/gpu/wheels, which another machine made, and takes PyTorch from PYTHON.
gpu:
	PYTHON=$(PYTHON) bash benchmarks/gpu.sh

gpu-wheels: $(VENV)/installed
	$(BIN)/python benchmarks/gpu_wheels.py
