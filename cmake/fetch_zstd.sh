#!/usr/bin/env bash
# Gets zstd 1.5.7 as one source file, from the `zstandard` archive on PyPI: for targets whose libzstd is not at hand.
#
# usage: cmake/fetch_zstd.sh [CACHE]     (build/deps unless given)
# Prints the folder to give as -DPANNIER_ZSTD_SOURCE.
set -euo pipefail

readonly version=0.25.0
readonly sha256=7713e1179d162cf5c7906da876ec2ccb9c3a9dcbdffef0cc7f70c3667a205f0b

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly cache=${1:-$root/build/deps}
readonly folder=$cache/zstandard-$version/zstd
mkdir -p "$cache"
exec 9>"$cache/zstandard.lock"  # two builds of pannier may come here at the same time
flock 9
[[ -f $folder/zstd.c && -f $folder/zstd.h ]] || "$root/cmake/fetch_source.sh" zstandard "$version" "$sha256" "$cache" "$cache"
echo "$folder"
