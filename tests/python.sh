#!/usr/bin/env bash
# The Python package, with NumPy alone and with today's TVM: usage python.sh PANNIER LOADER_LIBRARY DATA, or python.sh --install tvm. What
# it is tested with comes from PyPI, by name, into build/deps. Exit status 4: TVM could not be had, only the first part was tested; 5: nor
# could NumPy.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=$here/../build/deps/python

# install NAME PACKAGE..., unless it is there. Tests may want it at the same time.
install() {
  mkdir -p "$cache"
  (
    flock 9
    [[ -f $cache/$1.txt ]] && exit
    [[ -d $cache/venv ]] || python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "${@:2}" && touch "$cache/$1.txt"
  ) 9>"$cache/lock"
}
install_numpy() { install numpy numpy ml_dtypes; }
install_tvm() { install_numpy && install tvm apache-tvm==0.27.0.post1; }
if [[ $1 == --install ]]; then
  "install_$2"
  exit
fi

export PANNIER_EXECUTABLE=$1 PANNIER_LIBRARY=$2 PANNIER_TEST_DATA=$3 PYTHONPATH=$here/../loader/python PYTHONDONTWRITEBYTECODE=1

install_numpy || { echo "python.sh: NumPy cannot be installed; nothing was tested"; exit 5; }
"$cache/venv/bin/python" "$here/python/numpy_test.py"
install_tvm || { echo "python.sh: TVM cannot be installed; tested with NumPy alone"; exit 4; }
"$cache/venv/bin/python" "$here/python/tvm_test.py"
