#!/usr/bin/env bash
# The pictures of README.md, made anew by the command itself: usage docs/pictures/make.sh PANNIER [LIBRARY GRAPH PARAMS]. Without a
# model: that of tests/data/mlp. Playwright, Rich and Pillow come from PyPI, by name, into build/deps.
#
# Those in the repository show PaddleOCR's text detector (Apache-2.0), compiled for x86-64 by TVM 0.9.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly root=$here/../..
readonly tools=$root/build/deps/pictures
pannier=$(realpath "$1")
readonly pannier
readonly mlp=$root/tests/data/mlp
library=$(realpath "${2:-$mlp/linux-x86_64/lib.so}")
graph=$(realpath "${3:-$mlp/graph.json}")
params=$(realpath "${4:-$mlp/params.bin}")

if [[ ! -f $tools/complete.txt ]]; then
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check playwright rich pillow
  touch "$tools/complete.txt"
fi

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT
cd "$work"
"$tools/venv/bin/python" "$here/make.py" --other-weights "$params" other.bin
"$pannier" embed --quiet "$library" --graph "$graph" --params "$params" -o model.so
"$pannier" embed --quiet "$library" --graph "$graph" --params other.bin -o next.so
"$pannier" view --quiet model.so -o report.html
"$pannier" inspect model.so --sort size --top 5 --color always >inspect.txt
"$pannier" diff model.so next.so --color always >diff.txt || (($? == 1))
"$tools/venv/bin/python" "$here/make.py" --terminal inspect.txt "pannier inspect model.so --sort size --top 5" "$here/terminal.svg"
"$tools/venv/bin/python" "$here/make.py" --terminal diff.txt "pannier diff model.so next.so" "$here/diff.svg"
"$tools/venv/bin/python" "$here/make.py" --report report.html "$here"
dot -Tsvg "$here/architecture.dot" -o "$here/architecture.svg"  # of tests/walls_test.py --graph
