# The two commands a newcomer needs: `make run` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Options of `brain demo`: make run ARGS="--listen 127.0.0.1:8081"
ARGS ?=

.PHONY: help run test soak check bench format lock clean

run: $(STAMP)
	$(BIN)/brain demo $(ARGS)

help:
	@echo 'make run      serve the shipped routes.yaml with stand-in services (ARGS="--listen HOST:PORT")'
	@echo 'make test     run all tests'
	@echo 'make soak     run the long tests: minutes of load and faults'
	@echo 'make check    format, lint, types, and the shipped routes.yaml'
	@echo 'make bench    measure beside nginx, HAProxy, Envoy and Caddy'
	@echo 'make format   format the code'
	@echo 'make lock     write the requirements*.lock files anew'
	@echo 'make clean    remove what was made'

# Much of a test is waiting: two run at a time, those of one file one after another.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/brain check routes.yaml

bench: $(STAMP)
	$(BIN)/python -m bench

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Hashes and versions only: no index address is written.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header
RUNTIME := --extra basic --extra compress --extra tracing --extra valkey

lock: $(STAMP)
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) $(RUNTIME) --extra demo --extra testing --extra test --extra dev --extra bench \
	  --output-file requirements.lock pyproject.toml
	# Of these versions: what the image runs, and what builds its wheel.
	$(COMPILE) $(RUNTIME) --constraint requirements.lock \
	  --output-file requirements-image.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(COMPILE) --constraint requirements.lock --output-file requirements-build.lock -

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	# Start and reload import this code in new processes: compile it once.
	$(BIN)/python -m compileall -q proxy plugins
	touch $(STAMP)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .hypothesis
