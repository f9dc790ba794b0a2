#!/usr/bin/env bash
# The pages of `pannier view` and `pannier diff --html` in Chromium: usage view.sh PANNIER DATA. Playwright and axe-core, which audits
# accessibility, come from PyPI, by name, into build/deps. Exit status 4: they are not to be had, or no Chromium; nothing was tested.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=$here/../build/deps/view
pannier=$(realpath "$1")
readonly pannier
readonly data=$2 packages=(playwright axe-playwright-python==0.1.8)

export CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[[ -n $CHROMIUM ]] || { echo "view.sh: there is no Chromium; nothing was tested"; exit 4; }

install_tools() {
  mkdir -p "$cache"
  (
    flock 9
    [[ -f $cache/complete.txt && $(<"$cache/complete.txt") == "${packages[*]}" ]] && exit
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
    echo "${packages[*]}" >"$cache/complete.txt"
  ) 9>"$cache/lock"
}
install_tools || { echo "view.sh: Playwright cannot be installed; nothing was tested"; exit 4; }
axe=(--axe "$("$cache/venv/bin/python" -c 'import importlib.resources as r; print(r.files("axe_playwright_python") / "axe.min.js")')")
readonly axe

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

# The same model for two machines; the second with other values, another attribute and another codec.
sed 's/"hash": "[0-9a-f]*"/"hash": "0123456789abcdef"/' "$data/graph.json" >"$work/graph.json"
python3 - "$data/params.bin" "$work/params.bin" <<'EOF'
import pathlib
import sys
values = bytearray(pathlib.Path(sys.argv[1]).read_bytes())
middle = len(values) // 2  # of the largest tensor
for at in range(middle, middle + 4000, 8):
    values[at] ^= 1
pathlib.Path(sys.argv[2]).write_bytes(values)
EOF
"$pannier" embed --quiet "$data/linux-x86_64/lib.so" --graph "$data/graph.json" --params "$data/params.bin" -o "$work/mlp.so"
"$pannier" embed --quiet "$data/linux-aarch64/lib.so" --graph "$work/graph.json" --params "$work/params.bin" --codec zstd \
  -o "$work/other.so"
"$pannier" view "$work/mlp.so" -o "$work/mlp.html"
"$pannier" view --quiet --no-statistics --no-graphviz "$work/other.so" -o "$work/plain.html"
"$pannier" embed --quiet "$data/linux-x86_64/lib.so" --params "$data/params.bin" -o "$work/damaged.so"
dd if=/dev/zero of="$work/damaged.so" bs=1 seek=200000 count=16 conv=notrunc status=none
"$pannier" view "$work/damaged.so" -o "$work/damaged.html" | grep -q "tensor p0: .*sha-256: found" ||
  { echo "view.sh: view found nothing wrong with a damaged tensor"; exit 1; }
"$pannier" diff --quiet "$work/mlp.so" "$work/mlp.so" --html "$work/same.html"
if "$pannier" diff "$work/mlp.so" "$work/other.so" --html - >"$work/changes.html"; then
  echo "view.sh: diff found no difference, expected some"
  exit 1
fi

export PYTHONDONTWRITEBYTECODE=1
"$cache/venv/bin/python" "$here/view/page_test.py" "$work/mlp.html" "$work/plain.html" "$work/damaged.html" "${axe[@]}"
"$cache/venv/bin/python" "$here/view/diff_page_test.py" "$work/same.html" "$work/changes.html" "${axe[@]}"
