# A fresh machine needs Python 3.10 or newer and make; each target builds the environment it needs.
#   make demo            the main job on drawn sample birds: split, train, evaluate, predict
#   make test            the tests
#   make lint            format, lint and types
#   make test-paddle26   the tests on Paddle 2.6.2
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := runs/demo

.PHONY: demo test lint test-paddle26 clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[cpu,dev]'
	touch $@

.venv-paddle26/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-paddle26
	.venv-paddle26/bin/python -m pip install --quiet --editable '.[cpu,dev]' 'paddlepaddle == 2.6.2' 'numpy < 2'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m paddle_wrn.split_data
	$(BIN)/python -m paddle_wrn.train --resume --data data/sample_birds --output $(DEMO) --epochs 60
	$(BIN)/python -m paddle_wrn.evaluate $(DEMO)
	$(BIN)/python -m paddle_wrn.predict $(DEMO) "data/sample_birds/photos/Cockatoo/cockatoo_000.jpg"
	@echo
	@echo "photos and lists   data/sample_birds"
	@echo "trained network    $(DEMO)/checkpoints/best.safetensors"
	@echo "pictures           $(DEMO)/curves.png, $(DEMO)/confusion_matrix.png"
	@echo "figures            $(DEMO)/metrics.json"
	@echo "your own photos    $(BIN)/python -m paddle_wrn.split_data FOLDER_OF_FOLDERS"

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test-paddle26: .venv-paddle26/.installed
	.venv-paddle26/bin/python -m pytest

clean:
	rm -rf .venv .venv-paddle26 build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
