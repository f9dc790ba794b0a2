#!/usr/bin/env bash
# What a release consists of, built from what is committed: source archive, Debian packages, wheel and its source archive, lists of
# parts, and their SHA-256. Of the same commit and toolchain it makes the same bytes, wherever it runs.
#
# usage: packaging/release.sh FOLDER [REVISION]      FOLDER: a new one; REVISION: HEAD unless given
#
# LIEF is built into build/deps unless it is there. The packages are used once before it ends: unpacked into an empty root, the wheel in
# a new environment.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$(realpath -m "$1")
readonly root out revision=${2:-HEAD}
work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

fail() {
  echo "release.sh: $*" >&2
  exit 1
}

[[ ! -e $out ]] || fail "$out: is there, expected a new folder"
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct "$revision")
export SOURCE_DATE_EPOCH
version=$(git -C "$root" show "$revision:CMakeLists.txt" | sed -n 's/^project(pannier VERSION \([0-9.]*\) .*/\1/p')
readonly version source=$work/pannier-$version build=$work/build

make_source() {
  git -C "$root" archive --format=tar --prefix="pannier-$version/" "$revision" | gzip -9n >"$out/pannier-$version-source.tar.gz"
  tar -C "$work" -xzf "$out/pannier-$version-source.tar.gz"
  "$source/tests/version_test.py"
}

make_debian_packages() {
  cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_SHARED_LIBS=ON \
    -DPANNIER_BUILD_TESTS=OFF -DPANNIER_BUILD_LIEF=ON -DPANNIER_DEPENDENCIES_DIR="$root/build/deps" -DCMAKE_UNITY_BUILD=ON
  cmake --build "$build"
  (cd "$build" && cpack -G DEB -B "$work/packages")
  cp "$work"/packages/*.deb "$build"/*.spdx.json "$out"
}

make_python_packages() {
  python3 -m venv "$work/tools"
  "$work/tools/bin/pip" install --quiet --disable-pip-version-check build
  "$work/tools/bin/python" -m build --outdir "$out" -C "cmake.define.PANNIER_DEPENDENCIES_DIR=$root/build/deps" "$source"
}

# A bundle of the model in the repository made and read with what was just built.
use() {
  local model=$source/tests/data/mlp library_folder
  for package in "$out"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
  "$work/root/usr/bin/pannier" embed "$model/linux-$(uname -m)/lib.so" --graph "$model/graph.json" --params "$model/params.bin" -o "$work/model.so"
  "$work/root/usr/bin/pannier" verify "$work/model.so"
  library_folder=$(dirname "$(find "$work/root" -name 'libpannier_loader.so.0.*' | head -n 1)")
  cc -std=c99 -I"$work/root/usr/include" -o "$work/consumer" "$source/tests/consumers/c_consumer.c" -L"$library_folder" -lpannier_loader
  echo "Debian packages: $(LD_LIBRARY_PATH=$library_folder "$work/consumer" "$work/model.so") tensors"
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$out"/*.whl numpy
  (cd "$work" && venv/bin/pannier --version && venv/bin/python -c \
    'import pannier; print("wheel:", len(pannier.load("model.so").params), "tensors, loader", pannier.loader_version())')
}

mkdir -p "$out"
make_source
make_debian_packages
make_python_packages
use
(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
