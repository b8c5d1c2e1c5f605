#!/usr/bin/env bash
# Terraform's own checks: format, validity of every root module, the plans of tests/*.tftest.hcl, and the tables in the
# modules' READMEs. Needs no AWS account. It works on a copy, so that no lock file of this machine's platform alone is left in the checkout.
#
# usage: infra/terraform/tools/lint_terraform.sh [ROOT...]     (such as modules/queue; without any: all)
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
"${PYTHON:-python3}" infra/terraform/tools/module_tables.py --check
copy="$repository/.smelt/terraform/lint/terraform"
rm -rf "$copy"
mkdir -p "$copy"
tar -C infra/terraform --exclude='.terraform*' --exclude='*.tfstate*' --exclude='*_override.tf' -cf - . | tar -C "$copy" -xf -
cd "$copy"
[ $# -gt 0 ] || set -- bootstrap state envs/* examples/* modules/*
for root in "$@"; do
  export TF_DATA_DIR="$repository/.smelt/terraform/lint/data/$root"
  echo "== $root"
  terraform "$copy/$root" init -backend=false -input=false >/dev/null
  terraform "$copy/$root" validate -no-color
  if [ -d "$root/tests" ]; then
    terraform "$copy/$root" test -no-color
  fi
done
