# Everything a developer runs. Works with GNU make 3.81 (macOS) and newer. Start with `make help`.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := $(wildcard src tests scripts bench)
RULES := tests/unit/test_layers.py tests/unit/test_ratchet.py tests/unit/test_tidy.py
COMPILE := build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --upgrade pyproject.toml
# Most of the suite waits for time to pass, so more processes than cores pay.
SPREAD := -n 4 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check
.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: venv
venv: $(STAMP) ## The environment in .venv, from the locked requirements

$(STAMP): requirements/dev.txt pyproject.toml scripts/find_python.sh
	python=$$(sh scripts/find_python.sh) && "$$python" -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	touch $(STAMP)

.PHONY: lint
lint: $(STAMP) # format, lint, strict types, help pages in step
	$(BIN)/ruff format --quiet --check .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy $(CODE)
	@if [ -f scripts/help_pages.py ]; then $(BIN)/python scripts/help_pages.py --check; fi

.PHONY: check
check: lint ## Format, lint, strict types, house rules, help pages: under a minute
	$(BIN)/pytest -q $(RULES)

.PHONY: test
test: lint dynamodb-local kcl ## check and the whole suite, without the long tests
	$(BIN)/pytest $(SPREAD)

.PHONY: test-long
test-long: lint dynamodb-local kcl ## Only the tests that take minutes, with what they measured
	$(BIN)/pytest -v $(SPREAD) -m "long and not alone and not real" -rP --durations=12
	$(BIN)/pytest -v -m "long and alone" -rP --durations=12

.PHONY: test-real
test-real: $(STAMP) ## The contract and replication tests on an AWS account, on small tables of their own: REAL=1
	@test "$(REAL)" = 1 || { echo "test-real runs the contract and replication tests on an AWS account: it creates about 80 small" \
	  "on-demand tables (dynamirror-test-* and a task of that name), a few at a time, makes some 10,000 requests, some cents" \
	  "in all, and deletes the tables again. To start it: make test-real REAL=1, with AWS credentials where the AWS tools look" \
	  "for them; Regions: REAL_SOURCE_REGION (default us-east-1), REAL_DESTINATION_REGION (default eu-west-1)." >&2; exit 2; }
	REAL=1 $(BIN)/pytest -m real -p no:randomly

.PHONY: unit
unit: $(STAMP) ## Unit tests only
	$(BIN)/pytest tests/unit

.PHONY: integration
integration: $(STAMP) dynamodb-local kcl ## Only the tests that need DynamoDB Local
	$(BIN)/pytest -m "local and not long and not real"

.PHONY: sim
sim: $(STAMP) ## One simulated fleet, step by step: make sim SEED=7
	$(BIN)/python -m tests.sim $(or $(SEED),0)

.PHONY: sim-many
sim-many: $(STAMP) ## Many simulated fleets: make sim-many N=1000
	$(BIN)/python -m tests.sim --many $(or $(N),1000) --from $(or $(SEED),0)

.PHONY: dynamodb-local
dynamodb-local: $(STAMP) # the jars, fetched once into the user's cache
	@$(BIN)/python scripts/fetch_jars.py dynamodb-local --optional >/dev/null

.PHONY: kcl
kcl: $(STAMP) # what the Java tool runs on, likewise
	@$(BIN)/python scripts/fetch_jars.py kcl --optional >/dev/null

.PHONY: demo
demo: $(STAMP) ## A source, a destination and a live copy on this machine, no account needed
	$(BIN)/dynamirror demo

.PHONY: chaos
chaos: $(STAMP) dynamodb-local ## Processes, faults and kills, then equality: SEED, CHANGES, FAULTS, KILLS, CLOSED, ARGS
	PYTHONPATH=. $(BIN)/python -m tests.bench.chaos $(ARGS)

.PHONY: fleet-chaos
fleet-chaos: $(STAMP) dynamodb-local ## Many workers and shards; killed, frozen, stopped for two minutes: SEED, STORM_S
	PYTHONPATH=. $(BIN)/python -m tests.bench.fleet_chaos

.PHONY: bench
bench: $(STAMP) ## Measure against the last figures
	PYTHONPATH=. $(BIN)/python bench/run.py

.PHONY: dist
dist: $(STAMP) ## Wheel, sdist and SHA256SUMS in dist/, the wheel tried in an empty environment
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python scripts/check_dist.py dist

.PHONY: fmt
fmt: $(STAMP) ## Format and mend what ruff can mend
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format --quiet .

.PHONY: ratchet
ratchet: $(STAMP) ## Lower the list of outgrown functions and files to what is there
	$(BIN)/python scripts/ratchet.py --lower

.PHONY: lock
lock: build/lock ## Resolve the newest dependencies into requirements/*.txt
	$(COMPILE) requirements/dev.in --extra demo --output-file requirements/dev.txt >/dev/null
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/runtime.txt >/dev/null

build/lock:
	python=$$(sh scripts/find_python.sh) && "$$python" -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv

.PHONY: clean
clean: ## Remove everything that was made here
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
