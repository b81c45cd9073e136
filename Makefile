PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: test coverage lint lint-page types format test-oldest wheel demo docs

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

test: lint types
	$(PYTEST)

# Measuring which lines the tests run makes them a third slower.
coverage: $(INSTALLED)
	$(PYTEST) --cov --cov-report=term:skip-covered

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The script of the report's page; needs npm.
lint-page:
	npm --prefix scdnet/report/page ci --silent
	npm --prefix scdnet/report/page run --silent lint

types: $(INSTALLED)
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tests with the lowest versions that pyproject.toml allows.
test-oldest: $(INSTALLED)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-oldest
	$(BIN)/uv pip install --quiet --python $(VENV)-oldest/bin/python --resolution lowest-direct --editable '.[dev]'
	$(VENV)-oldest/bin/python -m pytest

# The documentation as a site in site/; a warning, such as a broken link, is an error.
docs: $(INSTALLED)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: $(INSTALLED)
	$(BIN)/uv build --quiet --wheel --out-dir dist

# Everything from nothing to a score: synthetic recordings, conversion, pretraining, retrieval beside two baselines.
demo: $(INSTALLED)
	$(BIN)/scdnet demo
