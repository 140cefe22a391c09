# make quickstart   installs into .venv and runs the main job
# make test         installs into .venv and runs format, lint, type check, tests
# make lint         format, lint and type check alone
# make suite        the tests alone: make suite JOBS=8 TESTS="tests/losses tests/test_graph.py"
# make coverage     the tests, with the share of lines and branches that they run
# make release-check  that the archives to release install and run without the source tree
# make docs         the site, in site/: strict, so a broken link is an error; and what its pages show
# make bench        how fast a step, a study and the rest are, against the textbook; takes an hour
# make format       mends what the linter can mend, and formats
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
CONSTRAINTS ?= constraints.txt
JOBS   ?= 2
TESTS  ?= tests
PYTEST  = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist=worksteal

.PHONY: quickstart test lint suite coverage bench format docs release-check clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "codistill needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	@touch $@

quickstart: $(STAMP)
	$(BIN)/codistill compare --recipe silos silos_skewed few_labels same_labels --name quickstart --if-exists resume

test: lint suite

suite: $(STAMP)
	$(PYTEST) $(TESTS)

coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html $(TESTS)

bench: $(STAMP)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python benchmarks/speed

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict --quiet
	$(PYTEST) tests/test_site.py

release-check: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) '.[release]'
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/release_check.py $(QUICK)

clean:
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .coverage htmlcov
