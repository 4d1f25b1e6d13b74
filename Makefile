# Everything a person or CI does here, by name. `make` alone shows the list.
PYTHON ?= python3
UV ?= uv
JOBS ?= 4
SPREAD := --dist loadfile --no-loadscope-reorder
# No test talks TLS, but each new httpx client reads the authorities that it would trust: one
# certificate takes 2 ms, the 140 of the default 26 ms, for every charge of every task.
TRUST := SSL_CERT_FILE=$(CURDIR)/tests/authority.pem
JUNIT ?= build/junit.xml
NB ?=
RUNS ?= 20
TESTS ?=
SEED ?= 1
ONLY ?=
COMPOSE_TESTS ?= tests/compose
BIN := .venv/bin
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help venv lab test test-compose test-browser screenshots lint outputs bench soak flaky lock format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## set up only: .venv from requirements.lock (WHEELS=folder: from wheels, without a network)
	@$(PYTHON) scripts/setup_venv.py

lab: venv ## set up, start everything and open JupyterLab; Ctrl-C stops all of it
	@$(BIN)/lab up

test: venv ## all tests, notebooks included (NB=02: one stage; JUNIT=FILE; JOBS=4)
ifeq ($(strip $(NB)),)
	@$(MAKE) --no-print-directory lint
	$(TRUST) $(BIN)/pytest tests notebooks --ignore tests/compose --ignore tests/browser \
		--shuffle-seed 7 -n $(JOBS) $(SPREAD) --junit-xml=$(JUNIT)
else
	$(BIN)/pytest notebooks --stage $(NB) --junit-xml=$(JUNIT)
endif

test-compose: venv ## the compose stack: images built, brought up, notebooks run inside, taken down
	$(BIN)/pytest $(COMPOSE_TESTS) --junit-xml=$(JUNIT)

test-browser: venv ## JupyterLab in a real browser, as a newcomer uses it (needs Chromium)
	@$(BIN)/python scripts/setup_browser.py
	$(BIN)/pytest tests/browser --junit-xml=$(JUNIT)

screenshots: ## the pictures of README.md anew, from the browser tests
	@LAB_PICTURES=docs/pictures $(MAKE) --no-print-directory test-browser

lint: venv ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

outputs: venv ## run the notebooks and store their outputs, normalised
	$(BIN)/python scripts/outputs.py

bench: venv ## the table of measured times
	$(BIN)/python benchmarks/run.py

soak: venv ## rounds of orders under random faults, on stage 04's solution (SEED=1 ONLY=17)
	$(BIN)/python scripts/soak.py --seed $(SEED) $(if $(ONLY),--only '$(ONLY)')

flaky: venv ## the same tests over and over under load (RUNS=20 TESTS=...)
	$(BIN)/python scripts/flaky.py --runs $(RUNS) $(TESTS)

lock: ## write requirements.lock and requirements-browser.lock anew (needs uv on PATH, or UV=path)
	$(LOCK) pyproject.toml --all-extras --fork-strategy fewest --output-file requirements.lock
	$(LOCK) tests/browser/requirements.in --constraints requirements.lock \
		--output-file requirements-browser.lock

format: venv ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was built, the virtual environment and the lab's state; what you did stays
	@if [ -x $(BIN)/lab ]; then $(BIN)/lab down; fi
	@if [ -d .lab ]; then find .lab -mindepth 1 -maxdepth 1 ! -name kept -exec rm -rf {} +; fi
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
