#!/usr/bin/env bash
# Replays inputs through one fuzz target: packed ones (.tar.xz) are unpacked first; what is not there is left out.
#
# usage: replay.sh PROGRAM PATH...
set -euo pipefail

readonly program=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
paths=()
for path in "$@"; do
  [[ -e $path ]] || continue
  if [[ $path == *.tar.xz ]]; then
    mkdir -p "$scratch/kept"
    tar -xJf "$path" -C "$scratch/kept"
    path=$scratch/kept
  fi
  paths+=("$path")
done
"$program" "${paths[@]}"
