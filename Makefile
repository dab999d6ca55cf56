.PHONY: help install format check test
.DEFAULT_GOAL := help
PYTHON ?= python

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

install:  ## install the package, editable, with everything a developer needs
	$(PYTHON) -m pip install -e ".[all]"

format:  ## let ruff format and fix
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

check:  ## format, lint, types, import layers: what pre-commit and CI run
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	lint-imports

test:  ## the whole test suite
	$(PYTHON) -m pytest -n logical
