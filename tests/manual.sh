#!/usr/bin/env bash
# The manual pages are what the command line says of itself, and groff takes them without a warning. Usage: manual.sh PANNIER_MANUAL.
# Exit status 4: groff is not there, the rest was tested.
set -euo pipefail

pages=$(cd "$(dirname "${BASH_SOURCE[0]}")/../docs/man" && pwd)
work=$(mktemp -d)
readonly pages work
trap 'rm -rf "$work"' EXIT

"$1" "$work"
diff -ru "$pages" "$work" || { echo "docs/man: found other pages than follow from the command line: run $1 docs/man" >&2 && exit 1; }
command -v groff >/dev/null || { echo "manual.sh: groff is not there; $(ls "$pages" | wc -l) pages are up to date, nothing else was tested"; exit 4; }
for page in "$pages"/*.1; do
  groff -man -Tutf8 -ww -z "$page" 2>"$work/warnings"
  [[ ! -s $work/warnings ]] || { cat "$work/warnings" >&2 && exit 1; }
done
echo "ok: $(ls "$pages" | wc -l) pages"
