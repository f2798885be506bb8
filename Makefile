# Everything a person or CI does here. Each target makes .venv itself: python3, git and make are the whole set-up.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= build/reference
READY := .venv/.ready

.PHONY: install test fuzz check bench reference data-test wheel clean

install: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

test: $(READY)
	$(BIN)/python -m pytest -m 'not data and not fuzz'

fuzz: $(READY)
	$(BIN)/python -m pytest -m fuzz --timeout 3600

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

reference: $(READY)
	$(BIN)/python benchmarks/reference_bundle.py --out $(OUT)

data-test: reference
	$(BIN)/python -m pytest -m data

bench: reference
	mkdir -p build/bench
	$(BIN)/python benchmarks/reference_accuracy.py --bundle $(OUT) --json build/bench/reference_accuracy.json
	$(BIN)/python benchmarks/pipeline.py --bundle $(OUT) --json build/bench/pipeline.json
	$(BIN)/python benchmarks/swap.py --bundle $(OUT) --json build/bench/swap.json

wheel: $(READY)
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist

clean:
	rm -rf .venv build dist
