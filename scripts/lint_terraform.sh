#!/usr/bin/env bash
# Terraform's own checks: format, validity of every root, and the plans of tests/*.tftest.hcl. Needs no AWS account.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v terraform >/dev/null; then
  echo "terraform is not installed: get 1.10 or newer from your package manager or HashiCorp's site" >&2
  [ -z "${CI:-}" ] || exit 1
  echo "SKIPPED: Terraform's checks" >&2
  exit 0
fi

terraform() { "$PWD/scripts/terraform.sh" "$@"; }

terraform infra/terraform fmt -check -diff -recursive
for root in bootstrap envs/dev envs/local; do
  export TF_DATA_DIR="$PWD/.smelt/terraform/lint/$root"  # so that a configured backend is left alone
  terraform "infra/terraform/$root" init -backend=false -input=false >/dev/null
  terraform "infra/terraform/$root" validate
  if [ -d "infra/terraform/$root/tests" ]; then
    terraform "infra/terraform/$root" test
  fi
done
