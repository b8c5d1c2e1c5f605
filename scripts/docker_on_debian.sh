#!/usr/bin/env bash
# Brings up what `docker compose up` needs on a bare Debian bookworm machine: a Docker engine (no systemd needed),
# Compose v2, buildx, and a base image with Python made from Debian's own packages. For machines that no image registry
# can be reached from. Needs root. Safe to run again: it does only what is missing.
#
# usage: scripts/docker_on_debian.sh [BASE_IMAGE_TAG]        (default smelt-base:trixie)
set -euo pipefail
base_tag=${1:-smelt-base:trixie}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

start_engine() {
  docker info >/dev/null 2>&1 && return
  if ! command -v dockerd >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null
  fi
  setsid dockerd >/var/log/smelt-dockerd.log 2>&1 &
  for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && return
    sleep 1
  done
  tail -20 /var/log/smelt-dockerd.log >&2
  echo "the Docker engine did not start; its last words are above" >&2
  exit 1
}

# bookworm has no Compose v2; trixie's packages hold the plugins, which run here as they are.
install_plugins() {
  docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && return
  local mirror apt
  mirror=$(awk '/^URIs:/ {print $2}' /etc/apt/sources.list.d/*.sources | grep -i debian | grep -v security | head -1)
  mkdir -p "$work/lists/partial" ~/.docker/cli-plugins
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
  apt=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$work/lists")
  apt-get "${apt[@]}" update -qq
  (cd "$work" && apt-get "${apt[@]}" download -qq docker-compose docker-buildx 2>/dev/null)
  for package in "$work"/*.deb; do dpkg -x "$package" "$work/x"; done
  cp "$work"/x/usr/libexec/docker/cli-plugins/* ~/.docker/cli-plugins/
}

make_base_image() {
  docker image inspect "$base_tag" >/dev/null 2>&1 && return
  if ! command -v mmdebstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
  fi
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates trixie "$work/base.tar"
  docker import "$work/base.tar" "$base_tag" >/dev/null
}

start_engine
install_plugins
make_base_image
echo "engine $(docker version --format '{{.Server.Version}}'), $(docker compose version), base image $base_tag"
