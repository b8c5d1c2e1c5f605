#!/usr/bin/env bash
# Terraform's own checks: format, validity of every root module, and the plans of tests/*.tftest.hcl. Needs no AWS
# account.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../../.." && pwd)
cd "$repository"

if ! command -v terraform >/dev/null; then
  echo "error: terraform is not installed: install 1.10 or newer from your package manager or HashiCorp's site" >&2
  [ -z "${CI:-}" ] || exit 2
  echo "SKIPPED: Terraform's checks" >&2
  exit 0
fi

terraform() { "$repository/infra/terraform/tools/terraform.sh" "$@"; }

terraform infra/terraform fmt -check -diff -recursive
cd infra/terraform
for root in bootstrap envs/* modules/*; do
  export TF_DATA_DIR="$repository/.smelt/terraform/lint/$root"  # so that a configured backend stays as it is
  echo "== $root"
  terraform "infra/terraform/$root" init -backend=false -input=false >/dev/null
  terraform "infra/terraform/$root" validate -no-color
  if [ -d "$root/tests" ]; then
    terraform "infra/terraform/$root" test -no-color
  fi
done
