# `make help` lists the targets.
SHELL := /bin/sh
PY := .venv/bin/python
.DEFAULT_GOAL := help

# Folders that a partial checkout lacks are left out.
CODE := $(wildcard contracts workbooks county client runtime services deploy cli demo tests benchmarks scripts examples)

# `make test WORKERS=2`: two processes run the tests, a file at a time, in the order in which they are collected.
WORKERS ?= 0
PYTEST := $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup jars demo test check format up down bench guards test-containers schemas lock clean

help: ## 列出这些命令 list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## 准备运行环境 make .venv with every locked package (quick if nothing changed)
	@sh deploy/embedded/setup.sh

jars: setup ## 下载 Kafka fetch Kafka's jars into .hutong/ (the first start does it too)
	@$(PY) -m deploy.embedded.prepare --quiet

demo: jars ## 演示一个县，人员均为虚构 run one invented county, from workbook to agency queue
	@$(PY) -m demo

test: jars ## 运行全部测试 run the whole test suite
	@$(PYTEST)

check: setup ## 检查代码、类型、导入规则、数据格式和文档链接 check lint, format, types, import rules, published schemas and links in the documents
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/mypy $(CODE)
	@.venv/bin/lint-imports --no-logo
	@$(PY) -m contracts.schemas --check
	@$(PY) -m scripts.check_docs

format: setup ## 统一代码格式 format the code
	@.venv/bin/ruff check --fix $(CODE)
	@.venv/bin/ruff format $(CODE)

up: jars ## 启动（COUNTY=县数据文件夹）start an installation in the background (COUNTY=a county's folder)
	@$(PY) -m deploy.embedded up $(if $(COUNTY),--county "$(COUNTY)")

down: setup ## 停止，数据保留 stop what `make up` started; its data is kept
	@$(PY) -m deploy.embedded down

bench: setup ## 性能测试 run the benchmarks and print throughput relative to a baseline
	@$(PY) -m benchmarks

guards: setup ## 逐一去掉每项防护，查对应测试是否失败 remove each guard in turn and check that its test fails
	@$(PY) -m tests.guards

test-containers: setup ## 在容器上运行全部测试 run the test suite on containers (needs a Docker Engine)
	@HUTONG_TEST_STACK=containers $(PYTEST)

schemas: setup ## 生成对外公布的数据格式 generate the published schemas from the contracts
	@$(PY) -m contracts.schemas

lock: setup ## 重新锁定依赖版本 resolve the dependencies (packages and jars); review the difference before committing it
	@for part in requirements-bootstrap.in:requirements-bootstrap.lock pyproject.toml:requirements.lock; do \
		extras=; [ "$${part%%:*}" = pyproject.toml ] && extras=--all-extras; \
		.venv/bin/uv pip compile "$${part%%:*}" $$extras --universal --python-version 3.11 --generate-hashes --quiet \
			--no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file "$${part##*:}" || exit 1; \
	done
	@$(PY) -m deploy.embedded.prepare --lock

clean: ## 停止并清除环境和全部数据 stop, and remove the environment, all installations' data and all caches
	@if [ -x $(PY) ]; then $(PY) -m deploy.embedded down; fi
	@rm -rf .venv .hutong .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
