#!/usr/bin/env bash
# Readers in Rust, Go and Java on the C interface: each has a tensor in the mapped file, without a copy.
# Usage: languages.sh LOADER_LIBRARY BUNDLE PARAMS; BUNDLE stores PARAMS as they are. Exit status 4: a toolchain is missing, which is said.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
library=$(realpath "$1")
bundle=$(realpath "$2")
params=$(realpath "$3")
readonly library bundle params
work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT
ln -s "$library" "$work/libpannier_loader.so"
LD_LIBRARY_PATH=$work:$(dirname "$library")  # by the name it was linked by, or its own
export LD_LIBRARY_PATH

# The name of the .params file's largest tensor of float32, and the sum of its values, added in their order as doubles.
read -r tensor sum < <(python3 - "$params" <<'EOF'
import struct
import sys

data, at = open(sys.argv[1], "rb").read(), 16
def take(form):
    global at
    values = struct.unpack_from("<" + form, data, at)
    at += struct.calcsize("<" + form)
    return values

names = []
for _ in range(take("Q")[0]):
    names.append(take(f"{take('Q')[0]}s")[0].decode())
found = []
take("Q")
for name in names:
    *_, ndim, code, bits, lanes = take("QQiiiBBH")
    take(f"{ndim}q")
    size = take("q")[0]
    (content,) = take(f"{size}s")
    if (code, bits, lanes) == (2, 32, 1):
        total = 0.0  # sum() of newer Pythons compensates
        for value in struct.unpack(f"<{size // 4}f", content):
            total += value
        found.append((size, name, total))
print(*max(found)[1:])
EOF
)
readonly tensor sum

missing=()
if command -v rustc >/dev/null; then
  rustc --edition 2021 -O -D warnings -L "$work" -o "$work/rust_reader" "$here/languages/rust/reader.rs"
  "$work/rust_reader" "$bundle" "$tensor" "$sum"
else
  missing+=("rust (no rustc)")
fi

if command -v go >/dev/null; then
  export GOCACHE=$here/../build/deps/go-cache GOFLAGS=-mod=mod GO111MODULE=off CGO_ENABLED=1
  CGO_CFLAGS="-I$here/../include" CGO_LDFLAGS="-L$work" go build -o "$work/go_reader" "$here/languages/go/reader.go"
  "$work/go_reader" "$bundle" "$tensor" "$sum"
else
  missing+=("go (no go)")
fi

# All JDKs of the machine, the newest last: the first reader needs 22.
java_version() { "$1/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p'; }
newest=0
for home in "${JAVA_HOME:-}" "$(dirname "$(dirname "$(realpath "$(command -v javac || echo /none/bin/javac)")")")" /usr/lib/jvm/*; do
  [[ -x $home/bin/javac && ! -L $home ]] || continue
  version=$(java_version "$home")
  [[ $version =~ ^[0-9]+$ ]] || continue
  if ((version > newest)); then newest=$version java=$home/bin/java; fi
done
jna=${PANNIER_JNA:-/usr/share/java/jna.jar}
if ((newest >= 22)); then
  "$java" --enable-native-access=ALL-UNNAMED "$here/languages/java/ForeignReader.java" "$library" "$bundle" "$tensor" "$sum"
elif ((newest == 0)); then
  missing+=("java (no JDK)")
fi
if ((newest >= 11)) && [[ -f $jna ]]; then
  options=()
  ((newest < 17)) || options=(--enable-native-access=ALL-UNNAMED)  # else a newer one warns
  "$java" "${options[@]}" -cp "$jna" "$here/languages/java/JnaReader.java" "$library" "$bundle" "$tensor" "$sum"
elif ((newest >= 11 && newest < 22)); then
  missing+=("java (JDK $newest needs JNA, Debian's libjna-java)")
fi

if ((${#missing[@]} != 0)); then
  printf 'languages.sh: not tested: %s\n' "${missing[@]}"
  exit 4
fi
