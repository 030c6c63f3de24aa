# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
ONCE ?=
SCENARIO ?=
BORROWERS ?=

.PHONY: help demo run test test-long bench chaos lint lock env-example clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/installed .cache/devnet/built ## a real Aave market on this computer, the worker, the bot and its chat
	$(BIN)/liquidbot demo $(if $(ONCE),--once) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(BORROWERS),--borrowers $(BORROWERS))

run: .venv/installed ## the same for a real chain and a real chat, as .env says
	$(BIN)/liquidbot up

test: .venv/installed .cache/devnet/built lint ## every test, in under ten minutes
	$(BIN)/pytest -n 2 --dist loadfile

test-long: .venv/installed .cache/devnet/built ## the tests that take minutes each
	$(BIN)/pytest -m long --timeout 3600

lint: .venv/installed ## style, types and the import laws
	$(BIN)/ruff check --output-format concise .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed .cache/devnet/built ## one JSON line per figure
	$(BIN)/python -m benchmarks

lock: .venv/installed ## pin every package again
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -c requirements-dev.txt -o requirements.txt

env-example: .venv/installed ## write .env.example from the settings
	$(BIN)/liquidbot settings --env > .env.example

clean: ## remove everything that was installed or built here
	rm -rf .venv .cache devnet/node_modules

.venv/installed: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "liquidbot needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@echo "Installing the Python packages into .venv (about half a minute)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet -e .
	@touch $@

devnet/node_modules/.package-lock.json: devnet/package-lock.json
	@command -v npm >/dev/null || { echo "the local chain needs Node 20 or newer and npm"; exit 1; }
	@echo "Installing the local chain's npm packages"
	cd devnet && npm ci --no-audit --no-fund
	@touch $@

.cache/devnet/built: .venv/installed devnet/node_modules/.package-lock.json $(wildcard devnet/contracts/*.sol) devnet/build.mjs
	$(BIN)/python -m devnet build
	@touch $@
