#!/usr/bin/env bash
# Brings up what `docker compose up` needs on a bare Debian bookworm machine: a Docker engine (without systemd),
# Compose v2, buildx, and a base image with Python, made from Debian's own packages. For machines that cannot reach an
# image registry. Needs root. Safe to run again: it does only what is missing.
#
# usage: docker/docker_on_debian.sh [start [BASE_IMAGE_TAG]]     (default smelt-base:trixie)
#        docker/docker_on_debian.sh stop                         ends the engine that `start` started, and no other
set -euo pipefail
action=${1:-start}
base_tag=${2:-smelt-base:trixie}
pid_file=${SMELT_DOCKERD_PID_FILE:-/run/smelt-dockerd.pid}
log=${SMELT_DOCKERD_LOG:-/var/log/smelt-dockerd.log}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

start_engine() {
  docker info >/dev/null 2>&1 && return
  if ! command -v dockerd >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null
  fi
  setsid dockerd >"$log" 2>&1 &
  echo $! >"$pid_file"
  for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && return
    sleep 1
  done
  tail -20 "$log" >&2
  echo "error: the Docker engine did not start; the end of its log is above" >&2
  exit 2
}

# The number may belong to another process by now: only a dockerd is ended.
stop_engine() {
  local pid
  [ -f "$pid_file" ] || return 0
  pid=$(cat "$pid_file")
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
    kill "$pid"
    while [ -e "/proc/$pid" ] && ! grep -q '^State:.*zombie' "/proc/$pid/status" 2>/dev/null; do sleep 0.2; done
  fi
  rm -f "$pid_file"
}

# bookworm has no Compose v2; trixie's packages contain the plugins, which run on bookworm as they are.
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

case $action in
  start) ;;
  stop)
    stop_engine
    exit
    ;;
  *)
    echo "usage: $0 [start [BASE_IMAGE_TAG] | stop]" >&2
    exit 2
    ;;
esac
start_engine
install_plugins
make_base_image
echo "engine $(docker version --format '{{.Server.Version}}'), $(docker compose version), base image $base_tag"
