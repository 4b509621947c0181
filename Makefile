# The words that people, CI and the README share. Everything is installed into .venv from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help demo test check docs bench lock clean

help:  ## these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "classifine needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(INSTALLED)  ## install, then train, judge and use a classifier on examples/tickets.csv
	$(BIN)/classifine train examples/tickets.csv -o runs/demo --overwrite
	printf '%s\n' 'where is my parcel??' 'i was charged twice, please fix' 'love the new app, thank you!' \
		| $(BIN)/classifine predict runs/demo -

test: $(INSTALLED)  ## all tests
	$(BIN)/python -m pytest -q

check: $(INSTALLED)  ## lint, types, import directions, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

docs: $(INSTALLED)  ## write the generated pages again
	$(BIN)/python docs/generate.py

bench: $(INSTALLED)  ## classifine against a plain Trainer script, in one run
	$(BIN)/python benchmarks/training.py

lock:  ## resolve requirements.lock anew (needs uv)
	./requirements.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
