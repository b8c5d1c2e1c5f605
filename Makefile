# The table of contents of what a person can do here. Override a variable on the command line: make e2e PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Makes a virtual environment, or repairs it, and installs a lock into it; at once where that has been done.
INSTALL := $(PYTHON) requirements/install.py

# Terraform runs in infra/terraform/envs/$(ENV), with the variables of $(ENV).tfvars there.
ENV ?= dev
TF_ENV := infra/terraform/envs/$(ENV)
TERRAFORM := infra/terraform/tools/terraform.sh
DEPLOY := $(BIN)/python -m infra.deploy
TF_BOOTSTRAP := $(TERRAFORM) infra/terraform/bootstrap
TF_STATE := $(TERRAFORM) infra/terraform/state
TF_BACKEND_FILE := infra/terraform/backend/backend.hcl
# What an environment's values say: $(call tf_value,project). The bootstrap has a workspace for each set of repositories, so
# that another project or region gets repositories beside the old ones, never in place of them.
TF_VALUES := infra/terraform/envs/$(ENV)/$(ENV).tfvars
tf_value = $(shell sed -n 's/^[[:blank:]]*$(1)[[:blank:]]*=[[:blank:]]*"\([^"]*\)".*/\1/p' $(TF_VALUES) 2>/dev/null)
TF_BOOTSTRAP_WORKSPACE = $(ENV)-$(call tf_value,project)-$(call tf_value,region)
TF_STATE_KEY = smelt/$(call tf_value,project)/$(ENV).tfstate
# Where the state is: s3, or local, a file. What was chosen once stays. A fresh checkout takes the bucket that is named: with an
# empty file beside it, all that exists would be planned again.
TF_FRESH = $(if $(wildcard $(TF_ENV)/.terraform $(TF_ENV)/terraform.tfstate),,yes)
TF_NAMED = $(shell grep -Eq '^bucket *= *"[^"]' $(TF_BACKEND_FILE) && echo yes)
TF_BACKEND ?= $(if $(or $(wildcard $(TF_OVERRIDE)),$(and $(TF_FRESH),$(TF_NAMED))),s3,local)
TF_OVERRIDE = $(TF_ENV)/backend_override.tf
# From S3 back to a file, Terraform copies the state if it is told to, and asks first; only where somebody said TF_BACKEND=local.
TF_MIGRATE = $(if $(filter file,$(origin TF_BACKEND)),,-migrate-state)
ENV_GIVEN = $(if $(filter-out dev,$(ENV)), ENV=$(ENV))
TF_VARS := -var-file=$(ENV).tfvars
BOOTSTRAP_VARS := -compact-warnings -var-file=../envs/$(ENV)/$(ENV).tfvars
APPROVED := $(if $(filter 1,$(TF_AUTO_APPROVE)),-auto-approve)
# A destroy uses no image, but the variables' checks want one of each function: those in use are in no commit, so that a
# checkout other than the one that pushed them does not know them.
NO_IMAGES = $(shell $(PYTHON) -c 'import json; parts = json.load(open("infra/terraform/functions.json")).values(); print(json.dumps({name: "none@sha256:" + "0" * 64 for names in parts for name in names}))')

# A proxy's CA bundle, if there is one, is passed to builds as a secret.
SMELT_CA_BUNDLE ?= $(or $(SSL_CERT_FILE),docker/no-ca-bundle)
export SMELT_CA_BUNDLE
AIRGAPPED := COMPOSE_FILE=compose.yaml:docker/airgapped.compose.yaml BASE_IMAGE=smelt-base:trixie DYNAMODB_PORT=4567

.DEFAULT_GOAL := help

##@ First steps
.PHONY: help
help: ## Show this table of contents
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.app $(VENV)-emulator/.ready ## Run the whole pipeline here, on the embedded emulator (no Docker, no AWS account)
	@$(BIN)/python -m local.demo

.PHONY: demo-flights
demo-flights: $(VENV)/.flights $(VENV)-emulator/.ready ## Send a real table of 336,776 flights through the pipeline, from one contract file
	@$(BIN)/python -m local.demo examples/flights

.PHONY: demo-lake
demo-lake: $(VENV)/.app $(VENV)-emulator/.ready $(VENV)-readers/.ready $(if $(shell command -v java 2>/dev/null),$(VENV)-spark/.ready) ## Publish demo data into Iceberg tables, compact and judge it (with Java; installs Spark, 1 GB), read it as it was before
	@$(BIN)/python -m local.demo.lake

.PHONY: clean-demo
clean-demo: ## Delete what the demos have stored
	@$(PYTHON) -m local.demo.clean .smelt

##@ Deployment to AWS (ENV=dev names the folder in infra/terraform/envs)
.PHONY: tf-bootstrap
tf-bootstrap: tf-bootstrap-init signed-in ## Create the ECR repositories; STATE_BUCKET=name also creates a bucket for Terraform's state
	@$(TF_BOOTSTRAP) apply -input=false $(APPROVED) $(BOOTSTRAP_VARS)
ifneq ($(STATE_BUCKET),)
	@$(TF_STATE) init -input=false >/dev/null
	@$(TF_STATE) workspace select -or-create $(STATE_BUCKET) >/dev/null
	@$(TF_STATE) apply -input=false $(APPROVED) $(BOOTSTRAP_VARS) -var state_bucket=$(STATE_BUCKET)
endif

.PHONY: tf-bootstrap-init
tf-bootstrap-init: tf-values
	@$(TF_BOOTSTRAP) init -input=false >/dev/null
	@$(TF_BOOTSTRAP) workspace select -or-create $(TF_BOOTSTRAP_WORKSPACE) >/dev/null

.PHONY: tf-values
tf-values:
	@[ -n "$(call tf_value,project)" ] && [ -n "$(call tf_value,region)" ] || { \
	  echo 'error: $(TF_VALUES) does not say project and region, each on a line of its own, such as project = "smelt-dev". ENV=$(ENV) names the folder' >&2; exit 2; }

# Terraform's own advice, `terraform init`, would not do here.
.PHONY: tf-ready
tf-ready: tf-values
	@[ -d $(TF_ENV)/.terraform ] || { echo 'error: Terraform is not prepared in $(TF_ENV): run `make tf-init$(ENV_GIVEN)` first' >&2; exit 2; }

# Asked before Terraform is, which takes long to say that it has no credentials, and does not say what to do.
.PHONY: signed-in
signed-in: $(VENV)/.app ## Say which AWS account and region the credentials of this shell are for, and as whom
	@$(DEPLOY) signed-in --env $(ENV)

# 3 is the exit code for a missing repository, and the only one after which repositories are created.
.PHONY: push-images
push-images: $(VENV)/.app tf-bootstrap-init ## Build the images from the committed revision, push them to ECR, write their digests for Terraform
	@$(DEPLOY) push-images --env $(ENV) --check; status=$$?; \
	  if [ $$status = 3 ] && [ "$(BOOTSTRAP)" != 0 ]; then $(MAKE) tf-bootstrap STATE_BUCKET=; else exit $$status; fi
	@$(DEPLOY) push-images --env $(ENV) $(PUSH_OPTIONS)

.PHONY: tf-init
tf-init: tf-values ## Prepare Terraform; TF_BACKEND=s3 keeps its state in the bucket of infra/terraform/backend/backend.hcl
ifeq ($(TF_BACKEND),s3)
	@! grep -Eq '^bucket *= *""' $(TF_BACKEND_FILE) || { \
	  echo 'error: $(TF_BACKEND_FILE) names no bucket. Create one with `make tf-bootstrap STATE_BUCKET=<name>`, and write its name and region there' >&2; exit 2; }
	@printf '# Written by `make tf-init TF_BACKEND=s3`.\nterraform {\n  backend "s3" {}\n}\n' > $(TF_OVERRIDE)
	@$(TERRAFORM) $(TF_ENV) init -backend-config=../../backend/backend.hcl -backend-config=key=$(TF_STATE_KEY)
	@echo 'next: `make tf-plan$(ENV_GIVEN)`, or `TF_AUTO_APPROVE=1 make tf-apply$(ENV_GIVEN)`'
else
	@[ ! -f $(TF_OVERRIDE) ] || mv $(TF_OVERRIDE) $(TF_OVERRIDE).away
	@$(TERRAFORM) $(TF_ENV) init $(TF_MIGRATE) || { status=$$?; [ ! -f $(TF_OVERRIDE).away ] || mv $(TF_OVERRIDE).away $(TF_OVERRIDE); exit $$status; }
	@rm -f $(TF_OVERRIDE).away
	@echo 'next: `make tf-plan$(ENV_GIVEN)`, or `TF_AUTO_APPROVE=1 make tf-apply$(ENV_GIVEN)`'
endif

.PHONY: tf-plan
tf-plan: tf-ready $(VENV)/.app ## Show what would be created, and check names, images and queues in the account
	@rm -f $(TF_ENV)/$(ENV).tfplan
	@$(DEPLOY) signed-in --env $(ENV)
	@$(TERRAFORM) $(TF_ENV) plan $(TF_VARS) -out=$(ENV).tfplan || { status=$$?; rm -f $(TF_ENV)/$(ENV).tfplan; exit $$status; }
	@$(TERRAFORM) $(TF_ENV) show -json $(ENV).tfplan > $(TF_ENV)/$(ENV).tfplan.json
	@$(DEPLOY) preflight $(TF_ENV)/$(ENV).tfplan.json || { status=$$?; rm -f $(TF_ENV)/$(ENV).tfplan; exit $$status; }

.PHONY: tf-apply
tf-apply: tf-plan ## Create or change the pipeline; asks first (TF_AUTO_APPROVE=1: does not)
	@[ "$(TF_AUTO_APPROVE)" = 1 ] || { printf 'Apply this plan? Type "yes" to go on: '; read -r answer; [ "$$answer" = yes ]; }
	@$(TERRAFORM) $(TF_ENV) apply $(ENV).tfplan

.PHONY: tf-apply-plan
tf-apply-plan: tf-ready ## Apply the plan that make tf-plan wrote, as it is; Terraform refuses it if anything has changed since
	@[ -f $(TF_ENV)/$(ENV).tfplan ] || { \
	  echo 'error: there is no $(TF_ENV)/$(ENV).tfplan: run `make tf-plan$(ENV_GIVEN)` first. A plan that failed, or that its preflight refused, is not kept' >&2; exit 2; }
	@$(TERRAFORM) $(TF_ENV) apply -input=false $(ENV).tfplan

.PHONY: empty-buckets
empty-buckets: $(VENV)/.app ## Delete every version of every object in both buckets; asks first (YES=1: does not)
	@$(DEPLOY) empty-buckets --terraform-dir $(TF_ENV) $(if $(filter 1,$(YES)),--yes)

.PHONY: tf-destroy
tf-destroy: tf-ready $(VENV)/.app signed-in ## Delete everything that Terraform created; asks first (TF_AUTO_APPROVE=1: does not). Buckets must be empty
	@$(DEPLOY) empty-buckets --terraform-dir $(TF_ENV) --check
	@! $(TERRAFORM) $(TF_ENV) show -json | grep -q '"deletion_protection_enabled":true' || { \
	  echo 'error: the ledger is protected: set ledger_deletion_protection = false, run make tf-apply, then this again. Nothing was deleted' >&2; exit 2; }
	@$(TERRAFORM) $(TF_ENV) destroy $(TF_VARS) -var 'images=$(NO_IMAGES)' $(APPROVED)

.PHONY: tf-output
tf-output: tf-ready ## Show the names of what was created
	@$(TERRAFORM) $(TF_ENV) output -json | grep -q '"value"' || { \
	  echo 'error: nothing has been created in $(TF_ENV) yet: run `make tf-apply$(ENV_GIVEN)` first' >&2; exit 2; }
	@$(TERRAFORM) $(TF_ENV) output

.PHONY: audit
audit: $(VENV)/.app ## Account for every object of the deployed pipeline, and show why one is not done (AUDIT_OPTIONS=--unfinished)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt audit $(AUDIT_OPTIONS)

.PHONY: status
status: $(VENV)/.app ## Show how the deployed pipeline is doing, on one screen (STATUS_OPTIONS=--watch)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt status $(STATUS_OPTIONS)

.PHONY: report
report: $(VENV)/.app ## Write one page about the deployed pipeline (REPORT_OPTIONS="--since 2026-01-31 --out page.html")
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt report $(REPORT_OPTIONS)

.PHONY: dlq
dlq: $(VENV)/.app ## Explain each dead letter and each failed S3 event of the deployed pipeline (DLQ_OPTIONS="--dataset NAME")
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt dlq show $(DLQ_OPTIONS)

.PHONY: redrive
redrive: $(VENV)/.app ## Send dead letters and failed S3 events back to work; fix the cause first (REDRIVE_OPTIONS=--dry-run)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt redrive $(REDRIVE_OPTIONS)

.PHONY: reconcile
reconcile: $(VENV)/.app ## Push what never became Silver: lost events and messages, plannings and lots that were left (RECONCILE_OPTIONS=--dry-run)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt reconcile $(RECONCILE_OPTIONS)

.PHONY: replay
replay: $(VENV)/.app ## Replay a prefix and a time (REPLAY_OPTIONS="--prefix bronze/shipments/ --start 2026-01-01 --dry-run")
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt replay $(REPLAY_OPTIONS)

.PHONY: smoke
smoke: $(VENV)/.app ## Prove that the deployed pipeline works: known rows in, every value compared (SMOKE_OPTIONS=--json)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt smoke $(SMOKE_OPTIONS)

##@ Operating it (docs/workflow.md)
# OPS_PREFIX, OPS_RECORD_TYPE, OPS_WINDOW_HOURS or OPS_START and OPS_END say what is replayed; the buckets are Terraform's.
OPS_START_OPTIONS = $(if $(OPS_PREFIX),--prefix "$(OPS_PREFIX)") $(if $(OPS_RECORD_TYPE),--record-type "$(OPS_RECORD_TYPE)") \
  $(if $(OPS_WINDOW_HOURS),--window-hours "$(OPS_WINDOW_HOURS)") $(if $(OPS_START),--start "$(OPS_START)") $(if $(OPS_END),--end "$(OPS_END)") \
  $(if $(OPS_DEST_PREFIX),--dest-prefix "$(OPS_DEST_PREFIX)") $(if $(OPS_MIN_PARQUET_OBJECTS),--min-parquet-objects "$(OPS_MIN_PARQUET_OBJECTS)") \
  $(if $(OPS_POLL_INTERVAL_SECONDS),--poll-interval-seconds "$(OPS_POLL_INTERVAL_SECONDS)") $(if $(OPS_MAX_ATTEMPTS),--max-attempts "$(OPS_MAX_ATTEMPTS)")
.PHONY: ops-start
ops-start: $(VENV)/.app ## Start the ops workflow: replay and check (OPS_PREFIX=bronze/shipments/ OPS_RECORD_TYPE=shipments OPS_WINDOW_HOURS=24, or OPS_START= OPS_END=)
	@$(DEPLOY) ops-start --terraform-dir $(TF_ENV) $(OPS_START_OPTIONS) $(OPS_OPTIONS)

.PHONY: ops-status
ops-status: $(VENV)/.app ## Show what the latest execution does, or why it failed (OPS_OPTIONS=--json)
	@$(DEPLOY) ops-status --terraform-dir $(TF_ENV) $(OPS_OPTIONS)

.PHONY: ops-history
ops-history: $(VENV)/.app ## List the latest executions (OPS_OPTIONS="--execution ARN": the states that one has entered)
	@$(DEPLOY) ops-history --terraform-dir $(TF_ENV) $(OPS_OPTIONS)

##@ The catalog (docs/data-guide.md)
.PHONY: glue-crawler-start
glue-crawler-start: $(VENV)/.app ## Start the crawler, for those who want its tables; ours need none
	@$(DEPLOY) glue-crawler-start --terraform-dir $(TF_ENV) $(GLUE_OPTIONS)

.PHONY: glue-crawler-status
glue-crawler-status: $(VENV)/.app ## Show what the crawler does, how its last run ended, which tables it has (GLUE_OPTIONS=--json)
	@$(DEPLOY) glue-crawler-status --terraform-dir $(TF_ENV) $(GLUE_OPTIONS)

##@ Compaction (docs/compaction.md)
.PHONY: glue-assets
glue-assets: $(VENV)/.app ## Upload what the Glue jobs run (scripts, package, wheels), and write its keys for Terraform
	@$(DEPLOY) glue-assets --env $(ENV) $(GLUE_OPTIONS)

GLUE_MODE ?= compact
.PHONY: glue-job-start
glue-job-start: $(VENV)/.app ## Compact a partition on Glue, and wait (GLUE_RECORD_TYPE=shipments GLUE_DT=2025-12-31 GLUE_OUTPUT_PREFIX=silver_compacted; GLUE_MODE=recompute: judge it again)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt $(GLUE_MODE) "$(GLUE_RECORD_TYPE)" "$(GLUE_DT)" --on glue \
	  $(if $(GLUE_OUTPUT_PREFIX),--output-prefix "$(GLUE_OUTPUT_PREFIX)") $(GLUE_OPTIONS)

.PHONY: glue-job-status
glue-job-status: $(VENV)/.app ## Show the latest run of the Glue job, or why it failed (GLUE_OPTIONS=--json)
	@$(DEPLOY) exec $(TF_ENV) $(BIN)/smelt glue-job $(GLUE_OPTIONS)

##@ The quality gate (docs/gate.md)
.PHONY: ge-start
ge-start: $(VENV)/.app ## Judge a partition by its contract's rules (GE_RECORD_TYPE=shipments GE_DT=2025-12-31 GE_RESULT_PREFIX=ge/results)
	@$(DEPLOY) ge-start --terraform-dir $(TF_ENV) $(if $(GE_RECORD_TYPE),--record-type "$(GE_RECORD_TYPE)") \
	  $(if $(GE_DT),--dt "$(GE_DT)") $(if $(GE_RESULT_PREFIX),--result-prefix "$(GE_RESULT_PREFIX)") $(GE_OPTIONS)

.PHONY: ge-status
ge-status: $(VENV)/.app ## Show what the gate's latest execution does, or its verdict (GE_OPTIONS=--json)
	@$(DEPLOY) ge-status --terraform-dir $(TF_ENV) $(GE_OPTIONS)

.PHONY: ge-history
ge-history: $(VENV)/.app ## List the gate's latest executions (GE_OPTIONS="--execution ARN": the states that one has entered)
	@$(DEPLOY) ge-history --terraform-dir $(TF_ENV) $(GE_OPTIONS)

##@ Set-up
.PHONY: setup
setup: $(VENV)/.dev $(VENV)-emulator/.ready $(VENV)-readers/.ready $(if $(shell command -v npm 2>/dev/null),$(VENV)-iam/.ready) ## Install everything that development needs, into .venv, .venv-emulator, .venv-readers and .venv-iam

# These are asked every time: an environment that was left half-made is noticed and made again.
.PHONY: FORCE
$(VENV)/.app: FORCE
	@$(INSTALL) $(VENV) requirements/app.txt --smelt

$(VENV)/.flights: $(VENV)/.app FORCE
	@$(INSTALL) $(VENV) requirements/flights.txt

$(VENV)/.dev: FORCE
	@$(INSTALL) $(VENV) requirements/dev.txt requirements/app.txt requirements/flights.txt --smelt

# DuckDB with its Iceberg extension, which fits one version of it.
$(VENV)-readers/.ready: FORCE
	@$(INSTALL) $(VENV)-readers requirements/readers.txt

$(VENV)-emulator/.ready: FORCE
	@$(INSTALL) $(VENV)-emulator requirements/emulator.txt

# The evaluator of IAM policies that tests use; needs Node.js.
$(VENV)-iam/.ready: requirements/iam-simulate/package-lock.json
	@mkdir -p $(VENV)-iam
	@cp requirements/iam-simulate/package*.json $(VENV)-iam/
	@npm ci --silent --no-audit --no-fund --prefix $(VENV)-iam
	@touch $@

##@ Checks
# Files are not split between the two workers: what a file plans, deploys or measures once is made once.
.PHONY: test
test: setup ## Set up and run all tests that need no Docker
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not e2e and not terraform and not spark"
	@echo "Not run here: 'make e2e' and 'make tf-test', the images under docker compose and as Terraform deploys them. They need Docker."
	@echo "Nor 'make test-spark', the jobs on Spark. They need Java 17$(if $(shell command -v java 2>/dev/null),, which is not installed: apt-get install openjdk-17-jre-headless)."

# Spark as AWS Glue 5.1 has it, in an environment of its own because Glue's versions are older than ours.
$(VENV)-spark/.ready: FORCE
	@$(INSTALL) $(VENV)-spark requirements/spark.txt

.PHONY: setup-spark
setup-spark: $(VENV)-spark/.ready ## Install Spark for the jobs of glue/ into .venv-spark (1 GB; Java 17 is needed to run it)
	@command -v java >/dev/null || echo "Java is missing: install a JRE 17, such as apt-get install --no-install-recommends openjdk-17-jre-headless"

.PHONY: test-spark
test-spark: $(VENV)/.dev setup-spark ## Run the tests of the jobs on Spark (needs Java 17)
	@command -v java >/dev/null || { echo "error: Spark needs Java 17: install it, such as apt-get install --no-install-recommends openjdk-17-jre-headless" >&2; exit 2; }
	@$(BIN)/python -m pytest -m spark

IMAGE_BUILD = docker buildx build --load --file docker/Dockerfile --secret id=ca_bundle,src=$(SMELT_CA_BUNDLE) \
  $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE))
.PHONY: docker-ready
docker-ready:
	@command -v docker >/dev/null || { echo "error: docker is not installed: the images are built with it. make demo needs none" >&2; exit 2; }
	@docker buildx version >/dev/null 2>&1 || { echo "error: docker has no buildx, which builds the images: install docker-buildx-plugin (Docker's packages) or docker-buildx (Debian's, Ubuntu's)" >&2; exit 2; }
	@docker info >/dev/null 2>&1 || { echo "error: no Docker engine answers: start Docker, or on bare Debian run docker/docker_on_debian.sh. make demo needs none" >&2; exit 2; }

.PHONY: compose-ready
compose-ready: docker-ready
	@docker compose version >/dev/null 2>&1 || { echo "error: docker has no compose: install docker-compose-plugin (Docker's packages) or docker-compose (Debian's); make demo needs none" >&2; exit 2; }

.PHONY: build
build: docker-ready ## Build the functions' images: smelt-ingest, smelt-transform, smelt-ops (needs Docker)
	$(IMAGE_BUILD) --target ingest --tag smelt-ingest .
	$(IMAGE_BUILD) --target transform --tag smelt-transform .
	$(IMAGE_BUILD) --target ops --tag smelt-ops .

# A project of its own: what `docker compose up` keeps is not deleted by these tests.
.PHONY: e2e
e2e: export COMPOSE_PROJECT_NAME = smelt-$(shell basename "$$(pwd)" | tr A-Z a-z | tr -cd a-z0-9)-e2e
e2e: compose-ready setup ## Build the images, run them on LocalStack under compose, send events through, stop (needs Docker)
	docker compose up --build --detach --wait
	@status=0; $(BIN)/python -m pytest -m e2e tests/e2e || status=$$?; \
	  [ $$status = 0 ] || docker compose logs --tail 200; docker compose down --volumes; exit $$status

.PHONY: e2e-airgapped
e2e-airgapped: ## The same on a bare Debian machine that cannot reach an image registry (as root; see docs/images.md)
	docker/docker_on_debian.sh
	$(MAKE) e2e $(AIRGAPPED)

.PHONY: tf-test
tf-test: docker-ready setup ## Apply the same modules to MiniStack with the real images, send events through, destroy (needs Docker)
	$(BIN)/python -m pytest -m terraform tests/terraform

.PHONY: tf-test-airgapped
tf-test-airgapped: ## The same on a bare Debian machine that cannot reach an image registry (as root)
	docker/docker_on_debian.sh
	$(MAKE) tf-test $(AIRGAPPED)

.PHONY: setup-checks
setup-checks: $(VENV)-checks/.ready $(if $(shell command -v npm 2>/dev/null),$(VENV)-checks/.node) ## Install the checks of images, Terraform and workflows into .venv-checks

$(VENV)-checks/.ready: FORCE
	@$(INSTALL) $(VENV)-checks requirements/checks.txt

# A stamp of its own: if Node.js is installed later, its checks are installed then.
$(VENV)-checks/.node: requirements/node-checks/package-lock.json | $(VENV)-checks/.ready
	@cp requirements/node-checks/package*.json $(VENV)-checks/
	@npm ci --silent --no-audit --no-fund --prefix $(VENV)-checks
	@touch $@

.PHONY: lint-delivery
lint-delivery: setup-checks ## hadolint, shellcheck, checkov, actionlint, zizmor, asl-validator, statelint
	@.ci/lint_delivery.sh

.PHONY: check-locks
check-locks: setup-checks ## Known vulnerabilities of what the locks pin, and an SBOM (needs the vulnerability data)
	@$(VENV)-checks/bin/python requirements/check_locks.py

.PHONY: scan-images
scan-images: ## Scan the built images with the scanner that is installed (trivy, or grype with syft)
	@$(PYTHON) docker/scan_images.py

.PHONY: lint-terraform
lint-terraform: ## Format, validity, and what Terraform would create with each toggle on and off
	@infra/terraform/tools/lint_terraform.sh

.PHONY: lint
lint: $(VENV)/.dev lint-terraform lint-delivery ## All checks: code, types, layering, contracts, Terraform, images, workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m services.ops.cli contracts check
	$(BIN)/python -m services.ops.cli contracts docs --check
	$(BIN)/python infra/terraform/tools/own_columns.py --check

.PHONY: format
format: $(VENV)/.dev ## Format all code, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ Upkeep
.PHONY: docs
docs: $(VENV)/.app ## Write docs/datasets, a page for each contract
	@$(BIN)/smelt contracts docs

.PHONY: pin-images
pin-images: ## Renew the digests of the base and emulator images (needs a registry)
	@$(PYTHON) docker/pin_images.py

# A pin stays unless its .in file or UPGRADE asks for another version: without changes, every lock comes out as it is.
COMPILE = $(VENV)-uv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE)
LOCK = $(COMPILE) --universal --python-version 3.11
.PHONY: lock
lock: $(VENV)-uv/.ready ## Renew all hash-checked locks from requirements/*.in (UPGRADE=--upgrade for newer versions)
	$(LOCK) -o requirements/runtime.txt requirements/runtime.in
	$(LOCK) -o requirements/lake.txt -c requirements/runtime.txt requirements/lake.in
	$(LOCK) -o requirements/app.txt -c requirements/runtime.txt -c requirements/lake.txt requirements/app.in
	$(LOCK) -o requirements/readers.txt requirements/readers.in
	$(LOCK) -o requirements/flights.txt -c requirements/app.txt requirements/flights.in
	$(LOCK) -o requirements/dev.txt -c requirements/app.txt -c requirements/flights.txt requirements/dev.in
	$(LOCK) -o requirements/emulator.txt requirements/emulator.in
	$(COMPILE) --python-version 3.13 --python-platform linux -o requirements/localstack.txt -c requirements/localstack.constraints.txt requirements/localstack.in
	$(LOCK) -o requirements/glue.txt -c requirements/glue51.constraints.txt requirements/glue.in
	$(LOCK) -o requirements/spark.txt -c requirements/glue51.constraints.txt -c requirements/glue.txt requirements/spark.in
	$(LOCK) -o requirements/rie.txt --no-deps requirements/rie.in
	$(LOCK) -o requirements/checks.txt requirements/checks.in
	$(LOCK) -o requirements/uv.txt requirements/uv.in

$(VENV)-uv/.ready: FORCE
	@$(INSTALL) $(VENV)-uv requirements/uv.txt
