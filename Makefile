# The table of contents of what a person can do here. Override a variable on the command line: make e2e PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --require-hashes
# The `smelt` command, from this checkout; everything that it needs is in the locks already.
INSTALL_SMELT = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

# The images that ours are built from; a proxy's CA bundle, if there is one, is passed to builds as a secret.
-include docker/images.env
SMELT_CA_BUNDLE ?= $(or $(SSL_CERT_FILE),docker/no-ca-bundle)
export BASE_IMAGE LOCALSTACK_IMAGE SMELT_CA_BUNDLE
AIRGAPPED := COMPOSE_FILE=compose.yaml:docker/airgapped.compose.yaml BASE_IMAGE=smelt-base:trixie DYNAMODB_PORT=4567
export COMPOSE_FILE DYNAMODB_PORT

.DEFAULT_GOAL := help

##@ First steps
.PHONY: help
help: ## Show this table of contents
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.app $(VENV)-emulator/.ready ## Run the whole pipeline here, on the embedded emulator (no Docker, no AWS account)
	@$(BIN)/python -m local.demo

.PHONY: demo-flights
demo-flights: $(VENV)/.flights $(VENV)-emulator/.ready ## Send a real table of 336,776 flights through, from one contract file
	@$(BIN)/python -m local.demo examples/flights

.PHONY: clean-demo
clean-demo: ## Forget what the demos have stored
	rm -rf .smelt

##@ Set-up
.PHONY: setup
setup: $(VENV)/.dev $(VENV)-emulator/.ready ## Install everything that development needs, into .venv and .venv-emulator

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "smelt needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)

# Each stamp is newer than the lock that it was installed from.
$(VENV)/.app: requirements/app.txt | $(VENV)/bin/python
	@echo "installing what the pipeline and its command line need ..."
	@$(BIN)/python $(PIP_INSTALL) -r requirements/app.txt
	@$(INSTALL_SMELT)
	@touch $@

$(VENV)/.flights: requirements/flights.txt $(VENV)/.app
	@$(BIN)/python $(PIP_INSTALL) -r requirements/flights.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/bin/python
	@echo "installing tests and checks ..."
	@$(BIN)/python $(PIP_INSTALL) -r requirements/dev.txt
	@$(INSTALL_SMELT)
	@touch $@ $(VENV)/.app $(VENV)/.flights

$(VENV)-emulator/.ready: requirements/emulator.txt
	@echo "installing the embedded emulator ..."
	@$(PYTHON) -m venv $(VENV)-emulator
	@$(VENV)-emulator/bin/python $(PIP_INSTALL) -r requirements/emulator.txt
	@touch $@

##@ Checks
.PHONY: test
test: setup ## Set up and run all tests that need no Docker
	@$(BIN)/python -m pytest -n 2 -m "not e2e"
	@echo "Left to 'make e2e' (needs Docker): the images under docker compose."

.PHONY: e2e
e2e: setup ## Build the images, run them on LocalStack under compose, send events through, stop (needs Docker)
	docker compose up --build --detach --wait
	@status=0; $(BIN)/python -m pytest -m e2e tests/e2e || status=$$?; \
	  [ $$status = 0 ] || docker compose logs --tail 200; docker compose down --volumes --timeout 20; exit $$status

.PHONY: e2e-airgapped
e2e-airgapped: ## The same on a bare Debian machine that reaches no image registry (as root; see docs/images.md)
	scripts/docker_on_debian.sh
	$(MAKE) e2e $(AIRGAPPED)

.PHONY: lint
lint: $(VENV)/.dev ## Formatting, lint, types, layering, contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m services.ops.cli contracts check

.PHONY: format
format: $(VENV)/.dev ## Bring all code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ Upkeep
.PHONY: pin-images
pin-images: ## Pin base and emulator images to digests in docker/images.env (needs a registry)
	@$(PYTHON) scripts/pin_images.py

LOCK = $(VENV)-uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE)
.PHONY: lock
lock: ## Renew the hash-checked locks from requirements/*.in (UPGRADE=--upgrade for newer versions)
	@test -x $(VENV)-uv/bin/uv || ($(PYTHON) -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install -q uv)
	$(LOCK) -o requirements/runtime.txt requirements/runtime.in
	$(LOCK) -o requirements/app.txt -c requirements/runtime.txt requirements/app.in
	$(LOCK) -o requirements/flights.txt -c requirements/app.txt requirements/flights.in
	$(LOCK) -o requirements/dev.txt -c requirements/app.txt -c requirements/flights.txt requirements/dev.in
	$(LOCK) -o requirements/emulator.txt requirements/emulator.in
