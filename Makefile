PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: test lint types format test-oldest wheel demo docs

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

test: lint types
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

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

# Everything from nothing to a score: made-up recordings, conversion, pretraining, retrieval beside two controls.
demo: $(INSTALLED)
	$(BIN)/python data_prep/demo_gendata.py --out data/demo_raw --overwrite
	$(BIN)/python data_prep/ntu_gendata.py --dataset ntu60 --raw data/demo_raw --out data/demo.h5 --overwrite
	$(BIN)/python tools/train.py -c configs/demo.yaml --overwrite
	@for benchmark in xsub xview; do \
	    echo && $(BIN)/python tools/eval_knn.py -c configs/demo.yaml data.benchmark=$$benchmark \
	        --checkpoint raw --checkpoint none --checkpoint runs/demo/last.pt || exit; \
	done
	@echo
	@echo 'The encoder was pretrained on the training split of x-sub. x-view takes it as it is: half of its test recordings'
	@echo 'were among those, without their labels.'
	@echo
	@echo 'Store: data/demo.h5   run: runs/demo (config.yaml, metrics.jsonl, tensorboard, last.pt, results.jsonl)'
	@echo 'Next, in this folder:'
	@echo '  . $(BIN)/activate'
	@echo '  python data_prep/inspect_store.py data/demo.h5 --render S003C001P003R002A050 punch.gif'
	@echo '  tensorboard --logdir runs'
	@echo '  python data_prep/ntu_gendata.py --dataset ntu60 --raw nturgbd_skeletons_s001_to_s017.zip --out data/ntu60.h5'
