# The words that people, CI and the README share. Everything is installed into .venv: from requirements.lock what the
# demo needs, from requirements-dev.lock what the tests and checks need on top, at the same versions.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := .venv/installed
DEVELOPING := .venv/developing

.PHONY: help demo test check docs bench lock clean

help:  ## these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "classifine needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(DEVELOPING): $(INSTALLED) requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	touch $@

demo: $(INSTALLED)  ## install, then train, judge and use a classifier on examples/tickets.csv
	$(BIN)/classifine train examples/tickets.csv -o runs/demo --overwrite
	printf '%s\n' 'where is my parcel??' 'i was charged twice, please fix' 'love the new app, thank you!' \
		| $(BIN)/classifine predict runs/demo -

test: $(DEVELOPING)  ## all tests, a process for each core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

check: $(DEVELOPING)  ## lint, types, import directions, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

docs: $(DEVELOPING)  ## write the generated pages again
	$(BIN)/python docs/generate.py

bench: $(DEVELOPING)  ## classifine against a plain Trainer script, in one run (DATA=DIR)
	$(BIN)/python benchmarks/training.py $(if $(DATA),--data $(DATA))

lock:  ## resolve both locks anew (needs uv)
	./requirements.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
