#!/usr/bin/env bash
# The reference of the public headers is made without a warning, and holds what they declare. Exit status 4: Doxygen is not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v doxygen >/dev/null || { echo "api_reference.sh: doxygen is not there, nothing was tested"; exit 4; }
work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT
{ cat docs/api/Doxyfile; echo "OUTPUT_DIRECTORY = $work"; } | doxygen - >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for word in LoadBundle OpenBundle FindBundle TensorView mutable_data pannier_load pannier_tensor_data kDigestMismatch trusted_keys; do
  grep -rqw "$word" "$work/html" || { echo "api_reference.sh: $word is not in it" >&2; exit 1; }
done
echo "ok: $(find "$work/html" -name '*.html' | wc -l) pages"
