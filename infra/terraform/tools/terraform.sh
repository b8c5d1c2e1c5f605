#!/usr/bin/env bash
# Runs Terraform in a directory. If this machine has a mirror of the AWS provider below SMELT_PROVIDER_MIRRORS (folders;
# /opt, /usr/share, /usr/local/share and /srv without it), the provider comes from there; otherwise Terraform downloads it.
# A CLI configuration of your own (TF_CLI_CONFIG_FILE) is respected.
#
# usage: infra/terraform/tools/terraform.sh DIR ARGUMENT...     (DIR: absolute, or below the repository's root)
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: $0 DIR ARGUMENT..." >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/../../.." && pwd)
directory=$1
shift
case $directory in
  /*) ;;
  *) directory=$root/$directory ;;
esac

if [ ! -d "$directory" ]; then
  echo "error: ${directory#"$root"/}: no such folder. ENV names a folder of infra/terraform/envs" >&2
  exit 2
fi

if ! command -v terraform >/dev/null; then
  echo "error: terraform is not installed: install 1.10 or newer from your package manager or HashiCorp's site" >&2
  exit 2
fi

# A mirror of the AWS provider is a folder that contains .../hashicorp/aws/<version>/<platform>, as
# `terraform providers mirror` lays it out. Terraform's plugin caches look the same, but lose what nobody uses: they, and
# whatever lies in a home, are none. A mirror without the version that is pinned here would only be in the way.
pinned=$(sed -n 's/^ *version = "\([0-9.]*\)"$/\1/p' "$root/infra/terraform/bootstrap/main.tf")
find_mirror() {
  local cache=${TF_PLUGIN_CACHE_DIR:-}
  # shellcheck disable=SC2086  # folders, separated by spaces
  find ${SMELT_PROVIDER_MIRRORS:-/opt /usr/share /usr/local/share /srv} -maxdepth 6 -type d -path "*/hashicorp/aws/$pinned" \
    -not -path '*/.terraform/*' -not -path '*plugin-cache*' ${cache:+-not -path "${cache%/}/*"} 2>/dev/null | head -1 || true
}

if [ ! -f "${TF_CLI_CONFIG_FILE:-$HOME/.terraformrc}" ]; then
  config="$root/.smelt/terraform/cli.tfrc"
  mkdir -p "$(dirname "$config")"
  provider=$(find_mirror)
  # shellcheck disable=SC2016  # no variables are meant
  if [ -n "$provider" ]; then
    printf 'provider_installation {\n  filesystem_mirror {\n    path    = "%s"\n    include = ["hashicorp/aws"]\n  }\n  direct {\n    exclude = ["hashicorp/aws"]\n  }\n}\n' \
      "${provider%/*/hashicorp/aws/*}" >"$config.$$"
  else
    : >"$config.$$"
  fi
  mv "$config.$$" "$config"
  export TF_CLI_CONFIG_FILE=$config
fi
exec terraform -chdir="$directory" "$@"
