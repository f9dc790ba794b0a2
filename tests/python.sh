#!/usr/bin/env bash
# The Python package, with NumPy alone and with today's TVM: usage python.sh PANNIER LOADER_LIBRARY DATA. What it is tested with comes
# from PyPI, by name, into build/deps. Exit status 4: TVM could not be had, only the first part was tested; 5: nor could NumPy.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=$here/../build/deps/python

export PANNIER_EXECUTABLE=$1 PANNIER_LIBRARY=$2 PANNIER_TEST_DATA=$3 PYTHONPATH=$here/../loader/python PYTHONDONTWRITEBYTECODE=1

# install NAME PACKAGE...
install() {
  [[ -f $cache/$1.txt ]] && return
  [[ -d $cache/venv ]] || python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "${@:2}" && touch "$cache/$1.txt"
}

install numpy numpy ml_dtypes || { echo "python.sh: NumPy cannot be installed; nothing was tested"; exit 5; }
"$cache/venv/bin/python" "$here/python/numpy_test.py"
install tvm apache-tvm==0.27.0.post1 || { echo "python.sh: TVM cannot be installed; tested with NumPy alone"; exit 4; }
"$cache/venv/bin/python" "$here/python/tvm_test.py"
