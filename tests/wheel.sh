#!/usr/bin/env bash
# The Python package as pip installs it: the source archive makes a wheel, which is installed into a new environment and used there.
# Usage: wheel.sh DATA [PANNIER]. LIEF comes from this checkout's build/deps; pip's own cache keeps the rest. Exit status 4: PyPI cannot be
# reached.
#
# With PANNIER the wheel takes that command as it is, and the loader is built without optimisation: most of the time goes there. Without, all
# is built as users get it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
data=$(realpath "$1")
readonly data
readonly tools=$root/build/deps/wheel
work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

build_options=(--config-settings "cmake.define.PANNIER_DEPENDENCIES_DIR=$root/build/deps")
if (($# > 1)); then
  pannier=$(realpath "$2")
  build_options+=(--config-settings cmake.build-type=Debug --config-settings cmake.define.CMAKE_CXX_FLAGS_DEBUG=-O0
    --config-settings cmake.define.PANNIER_LTO=OFF --config-settings cmake.define.PANNIER_BUILD_EMBEDDER=OFF
    --config-settings "cmake.define.PANNIER_EXECUTABLE=$pannier" --config-settings build.targets=pannier_loader)
fi

# What pyproject.toml asks for, once for all runs.
install_tools() {
  mkdir -p "$tools"
  (
    flock 9
    [[ -f $tools/complete.txt ]] && exit
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check build 'scikit-build-core>=0.11' mypy
    touch "$tools/complete.txt"
  ) 9>"$tools/lock"
}
install_tools || { echo "wheel.sh: the tools that build a wheel cannot be installed; nothing was tested"; exit 4; }

(cd "$root" && "$tools/venv/bin/mypy" --cache-dir "$work/mypy")

# From a copy without build/: minutes go by while all that is in there is looked at, to be left out.
mkdir "$work/source"
tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$work/source" -xf -
"$tools/venv/bin/python" -m build --sdist --no-isolation --outdir "$work" "$work/source" >"$work/log" || { cat "$work/log"; exit 1; }
"$tools/venv/bin/pip" wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir "$work" "${build_options[@]}" \
  "$work"/pannier-*.tar.gz
stat --format "%s %n" "$work"/pannier-* | sed "s|$work/||"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$work"/pannier-*.whl numpy ml_dtypes
unset PANNIER_EXECUTABLE PANNIER_LIBRARY PYTHONPATH
export PATH=$work/venv/bin:$PATH PANNIER_TEST_DATA=$data PYTHONDONTWRITEBYTECODE=1
cd "$work"
pannier --version
python -m pannier --version >/dev/null
python - <<'EOF'
import pathlib
import pannier
here = pathlib.Path(pannier.__file__).parent
print("loader", pannier.loader_version(), "beside", sorted(path.name for path in here.iterdir() if path.suffix in ("", ".so")))
EOF
python "$root/tests/python/numpy_test.py"
