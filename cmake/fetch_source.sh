#!/usr/bin/env bash
# Unpacks one source archive from PyPI, after checking its sha256; writes nothing outside of the folders it is given.
#
# usage: cmake/fetch_source.sh NAME VERSION SHA256 CACHE FOLDER
#
# The archive stays in CACHE, its content goes to FOLDER/NAME-VERSION. Without a network, put the archive into CACHE beforehand.
# `pip download` builds a package to learn its metadata, and stumbles over LIEF's; `unearth` only downloads.
set -euo pipefail

readonly name=$1 version=$2 sha256=$3 cache=$4 folder=$5
readonly unearth=unearth==0.19.0

find_archive() {
  local file
  for file in "$cache/$name-$version".{zip,tar.gz}; do
    [[ -f $file ]] && echo "$file" && return
  done
  return 1
}

download() {
  local venv=$cache/venv downloads
  [[ -x $venv/bin/unearth ]] || {
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$unearth"
  }
  downloads=$(mktemp -d "$cache/download.XXXXXX")
  "$venv/bin/unearth" --no-binary "$name==$version" --download "$downloads" >/dev/null
  mv "$downloads"/"$name-$version".* "$cache"
  rm -rf "$downloads"
}

mkdir -p "$cache" "$folder"
find_archive >/dev/null || download
archive=$(find_archive)
found=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$archive")
if [[ $found != "$sha256" ]]; then
  echo "fetch_source.sh: $archive: found sha256 $found, expected $sha256; remove the file and try again" >&2
  exit 1
fi
python3 -c 'import shutil, sys; shutil.unpack_archive(sys.argv[1], sys.argv[2])' "$archive" "$folder"
