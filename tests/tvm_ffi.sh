#!/usr/bin/env bash
# The C++ adapter to today's TVM, compiled with the headers that PyPI's packages bring and run on a model that TVM compiled. usage:
# tvm_ffi.sh PANNIER LOADER_LIBRARY STATIC_LOADER. Exit status 4: TVM cannot be had, nothing was tested.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly python=$here/../build/deps/python/venv/bin/python
work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

"$here/python.sh" --install tvm || { echo "tvm_ffi.sh: TVM cannot be installed; nothing was tested"; exit 4; }
PANNIER_EXECUTABLE=$1 PANNIER_LIBRARY=$2 PYTHONPATH=$here/../loader/python PYTHONDONTWRITEBYTECODE=1 \
  "$python" "$here/tvm/make_model.py" "$work"
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
libraries=("$packages/tvm_ffi/lib" "$packages/tvm/lib")
c++ -std=c++17 -O1 -Wall -Wextra -Werror -I"$here/../include" -isystem "$packages/tvm_ffi/include" -o "$work/run_relax" \
  "$here/tvm/run_relax.cc" "$3" -lzstd -pthread -ldl "${libraries[@]/#/-L}" -ltvm_ffi "${libraries[@]/#/-Wl,-rpath,}" \
  -Wl,--no-as-needed -ltvm_runtime
for codec in store auto; do
  "$work/run_relax" "$work/$codec.so" "$work/input.bin" "$work/output.bin"
  echo "ok: $codec: the same output as from three files, bit for bit"
done
