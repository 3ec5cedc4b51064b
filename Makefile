# `make help` says what there is.
SHELL := /bin/sh
PY := .venv/bin/python
.DEFAULT_GOAL := help

# Folders that may still be missing in a partial checkout are left out, not an error.
CODE := $(wildcard contracts workbooks county client runtime services deploy cli demo tests benchmarks scripts examples)

.PHONY: help setup jars demo test check format up down bench guards test-containers schemas lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with every package, as locked (quick when nothing changed)
	@sh deploy/embedded/setup.sh

jars: setup ## fetch Kafka's jars into .hutong/ (also done on the first start)
	@$(PY) -m deploy.embedded.prepare --quiet

demo: jars ## one county from workbook to agency queue, on a stack of its own
	@$(PY) -m demo

test: jars ## the whole suite
	@$(PY) -m pytest

check: setup ## lint, format, types, import rules, published schemas, links in the documents
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/mypy $(CODE)
	@.venv/bin/lint-imports --no-logo
	@$(PY) -m contracts.schemas --check
	@$(PY) -m scripts.check_docs

format: setup ## put the code into the project's format
	@.venv/bin/ruff check --fix $(CODE)
	@.venv/bin/ruff format $(CODE)

up: jars ## a whole house in the background for work by hand (COUNTY=folder of another county's data)
	@$(PY) -m deploy.embedded up $(if $(COUNTY),--county "$(COUNTY)")

down: setup ## stop what `make up` started; its data stays
	@$(PY) -m deploy.embedded down

bench: setup ## the benchmarks: each prints a table and a ratio
	@$(PY) -m benchmarks

guards: setup ## break each promise on purpose and see that a test notices
	@$(PY) -m tests.guards

test-containers: setup ## the same suite on containers (needs a Docker Engine)
	@HUTONG_TEST_STACK=containers $(PY) -m pytest

schemas: setup ## write the published schemas anew from the contracts
	@$(PY) -m contracts.schemas

lock: setup ## resolve the dependencies anew (packages and jars); review the difference before committing it
	@for part in requirements-bootstrap.in:requirements-bootstrap.lock pyproject.toml:requirements.lock; do \
		extras=; [ "$${part%%:*}" = pyproject.toml ] && extras=--all-extras; \
		.venv/bin/uv pip compile "$${part%%:*}" $$extras --universal --python-version 3.11 --generate-hashes --quiet \
			--no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file "$${part##*:}" || exit 1; \
	done
	@$(PY) -m deploy.embedded.prepare --lock

clean: ## stop what runs, remove the environment, every installation's data and every cache
	@if [ -x $(PY) ]; then $(PY) -m deploy.embedded down; fi
	@rm -rf .venv .hutong .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
