# Thin: one line each. `make setup` comes by itself; a stamp makes it instant afterwards.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
CORPUS ?= out/demo/corpus
ENGINE ?= duckdb
WORKERS ?= 2
BENCHES ?= pixels loader epochs plan

.PHONY: help setup demo test lint types docs pages shards train bench bench-gpu wheel clean
.DEFAULT_GOAL := help

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(VENV)/.installed: requirements.lock setup/pillow.lock pyproject.toml $(wildcard setup/*.sh setup/*.py */*/*.[ch])
	@setup/install.sh $(PYTHON) $(VENV)

setup: $(VENV)/.installed ## virtual environment with everything, pillow-simd compiled for this processor

demo: setup ## a small web, fetched, sharded, streamed and learnt in a few minutes
	@$(BIN)/python -m tagmill.demo $(ARGS)

test: setup ## the whole suite, by WORKERS processes; a file's tests stay together: make test ARGS=tests/shards WORKERS=0
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## mypy --strict
	@$(BIN)/mypy -p tagmill

docs: setup ## the documentation as a site: build/docs/index.html
	@$(BIN)/python -m tagmill.docs.generate --site build/pages
	@$(BIN)/zensical build --clean --strict

pages: setup ## the committed pages that are made from the code and from bench/results
	@$(BIN)/python -m tagmill.docs.generate

shards: setup ## a corpus from a list: make shards INPUT=urls.parquet OUTPUT=corpus ENGINE=duckdb|spark ARGS="--holdout 1000"
	@$(BIN)/tagmill ingest --input $(INPUT) --output $(OUTPUT) --engine $(ENGINE) $(ARGS)

train: setup ## a model from a corpus: make train CORPUS=out/demo/corpus ARGS="--recipe recipes/demo.toml"
	@$(BIN)/tagmill train --corpus $(CORPUS) $(ARGS)

bench: setup ## every comparison that needs no GPU; figures stand beside the machine that gave them
	@for name in $(BENCHES); do $(BIN)/python bench/$$name.py $(ARGS) || exit 1; done

bench-gpu: setup ## the loader on a GPU, beside the decoder's limit, others' loaders and networks in training: docs/how-to/gpu.md
	@$(BIN)/python -m tagmill.bench.gpu $(ARGS)

wheel: setup ## build/dist/tagmill-*.whl, for Python 3.11 and later, with libjpeg in it
	@rm -rf build/dist && setup/wheel.sh $(abspath $(BIN))/python build/dist

clean: ## everything that was made here, the virtual environment too
	rm -rf $(VENV) build out *.egg-info .pytest_cache .ruff_cache .hypothesis
