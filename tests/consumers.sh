#!/bin/sh
# Uses pannier as its users do: usage consumers.sh BUILD_DIR BUNDLE. Installs BUILD_DIR (built before), and the loader as the other
# kind of library (static or shared), into temporary prefixes; builds and runs the programs of tests/consumers/ against each.
set -eu

[ $# -eq 2 ] || { echo "usage: consumers.sh BUILD_DIR BUNDLE" >&2; exit 2; }
build=$(cd "$1" && pwd)
bundle=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "consumers.sh: $*" >&2
  exit 1
}

# A step that talks only when it fails.
quietly() {
  if ! "$@" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    fail "failed: $*"
  fi
}

# cached NAME: a setting of BUILD_DIR.
cached() {
  sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

# The consumers are compiled as the build was: its compilers, its sanitizers.
CC=$(cached CMAKE_C_COMPILER)
CXX=$(cached CMAKE_CXX_COMPILER)
sanitize=$(cached PANNIER_SANITIZE)
CFLAGS="${sanitize:+-fsanitize=$sanitize}"
CXXFLAGS=$CFLAGS
export CC CXX CFLAGS CXXFLAGS
libdir=$(cached CMAKE_INSTALL_LIBDIR)
generator=$(cached CMAKE_GENERATOR)

expected=
# check LABEL PROGRAM [BUNDLE]: it says how many tensors there are, the same number as all others.
check() {
  found=$("$2" "${3:-$bundle}") || fail "$1: $(basename "$2") failed with status $?"
  [ "$found" -gt 0 ] || fail "$1: found $found tensors, expected some"
  [ "$found" = "${expected:=$found}" ] || fail "$1: found $found tensors, expected $expected"
  echo "ok: $1: $(basename "$2"): $found tensors"
}

check_all() {
  for program in consumer c_consumer no_exceptions; do check "$1" "$2/$program"; done
}

# hardened LIBRARY: a release build (not one with sanitizers) has what its compiler knows of hardening.
hardened() {
  [ -z "$sanitize" ] || return 0
  readelf -lW "$1" >"$work/segments"
  grep -q 'GNU_STACK .* RW ' "$work/segments" || fail "hardening: the stack of $1 is executable"
  grep -q GNU_RELRO "$work/segments" || fail "hardening: $1 has no RELRO"
  ! grep -q ' RWE ' "$work/segments" || fail "hardening: $1 has a segment to write to and to run"
  readelf -dW "$1" | grep -q -E 'BIND_NOW|NOW' || fail "hardening: $1 is not bound at once"
  nm -D "$1" | grep -q __stack_chk_fail || fail "hardening: $1 has no stack protector"
  # The property that says so in a note needs start files that have it, too, which Debian's lack.
  if [ "$(uname -m)" = x86_64 ]; then
    objdump -d "$1" | grep -q endbr64 || fail "hardening: $1 has no control-flow protection"
  fi
  echo "ok: shared: a release build is hardened"
}

# use KIND BUILD_DIR: installs, moves the prefix (a package must not remember where it was made), and uses it.
use() {
  kind=$1
  quietly cmake --install "$2" --prefix "$work/$kind-made"
  mv "$work/$kind-made" "$work/$kind"
  prefix=$work/$kind

  project=$work/$kind-find_package
  quietly cmake -S "$here/consumers/find_package" -B "$project" -G "$generator" -DCMAKE_PREFIX_PATH="$prefix"
  quietly cmake --build "$project"
  check_all "find_package, $kind" "$project"
  if [ -e "$project/libmodel.so" ]; then check "pannier_embed, $kind" "$project/consumer" "$project/libmodel.so"; fi

  # -lstdc++ and what else a C compiler does not link by itself are private, hence --static.
  static=
  [ "$kind" = shared ] || static=--static
  project=$work/$kind-pkg_config
  mkdir "$project"
  PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
  export PKG_CONFIG_PATH
  flags=$(pkg-config $static --cflags --libs pannier) || fail "pkg-config, $kind: does not find pannier"
  cxx_flags=$(pkg-config --cflags --libs pannier)
  LD_LIBRARY_PATH=$prefix/$libdir
  export LD_LIBRARY_PATH
  # The flags are words to split.
  quietly "$CC" $CFLAGS -std=c99 -Wall -Wextra -pedantic -Werror -o "$project/c_consumer" "$here/consumers/c_consumer.c" $flags
  quietly "$CXX" $CXXFLAGS -std=c++17 -Wall -Wextra -Werror -o "$project/consumer" "$here/consumers/consumer.cc" $cxx_flags
  quietly "$CXX" $CXXFLAGS -fno-exceptions -fno-rtti -o "$project/no_exceptions" "$here/consumers/no_exceptions.cc" $cxx_flags
  check_all "pkg-config, $kind" "$project"

  if [ "$kind" != shared ]; then
    quietly "$CC" $CFLAGS -shared -fPIC -o "$project/libplugin.so" "$here/consumers/plugin.c" $flags
    shown=$(nm -D --defined-only "$project/libplugin.so" | grep -i pannier || true)
    # An exception's type is one type everywhere.
    shown=$(echo "$shown" | grep -v ' _ZT[ISV]N7pannier5ErrorE$' || true)
    nm -D --defined-only "$project/libplugin.so" | grep -q ' OpenPlugin$' || fail "static: the plugin does not show OpenPlugin"
    [ -z "$shown" ] || fail "static: a library that links the loader shows its names: $shown"
    echo "ok: static: a library that links the loader hides its names"
  else
    hardened "$prefix/$libdir/libpannier_loader.so"
    # Weak names are templates of the standard library, which are the same in every library.
    nm -D --defined-only "$prefix/$libdir/libpannier_loader.so" |
      sed -n 's/^[0-9a-f]* [TDBRi] //p' | sed 's/@.*//' | c++filt >"$work/names"
    grep -q '^pannier_load$' "$work/names" || fail "shared: pannier_load is not shown"
    others=$(grep -v -E '^(pannier_|pannier::|_init$|_fini$|__(asan|odr_asan|ubsan|tsan))' "$work/names" || true)
    [ -z "$others" ] || fail "shared: the loader shows names that are not its own: $others"
    echo "ok: shared: the loader shows $(wc -l <"$work/names") names, all its own"
  fi
  unset LD_LIBRARY_PATH PKG_CONFIG_PATH
}

own_kind=static
other_kind=shared
other_value=ON
case $(cached BUILD_SHARED_LIBS) in
  ON | on | 1 | TRUE | true | YES | yes) own_kind=shared other_kind=static other_value=OFF ;;
esac
use "$own_kind" "$build"

quietly cmake -S "$source" -B "$work/other" -G "$generator" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=$other_value -DPANNIER_BUILD_EMBEDDER=OFF \
  -DPANNIER_BUILD_TESTS=OFF -DPANNIER_SANITIZE="$sanitize" -DCMAKE_INSTALL_LIBDIR="$libdir"
quietly cmake --build "$work/other"
use "$other_kind" "$work/other"

# With signature checks; and without, where asking for them must not be overlooked.
if [ -e "$build/embedder/pannier" ]; then
  quietly cmake -S "$source" -B "$work/signing" -G "$generator" -DPANNIER_SIGNATURES=ON -DPANNIER_BUILD_EMBEDDER=OFF \
    -DPANNIER_BUILD_TESTS=OFF -DPANNIER_SANITIZE="$sanitize" -DCMAKE_INSTALL_LIBDIR="$libdir"
  quietly cmake --build "$work/signing"
  use static-signatures "$work/signing"
  quietly openssl genpkey -algorithm ed25519 -out "$work/key.pem"
  quietly openssl pkey -in "$work/key.pem" -pubout -out "$work/key.pub"
  cp "$bundle" "$work/signed.so"
  program=$work/static-signatures-find_package/consumer
  if "$program" "$work/signed.so" "$work/key.pub" >/dev/null 2>&1; then fail "signatures: an unsigned bundle was loaded"; fi
  quietly "$build/embedder/pannier" sign "$work/signed.so" --key "$work/key.pem"
  found=$("$program" "$work/signed.so" "$work/key.pub") || fail "signatures: a signed bundle was not loaded"
  [ "$found" = "$expected" ] || fail "signatures: found $found tensors, expected $expected"
  if "$work/$own_kind-find_package/consumer" "$work/signed.so" "$work/key.pub" 2>"$work/log"; then
    fail "no signatures: trusted keys were overlooked"
  fi
  grep -q "cannot check signatures" "$work/log" || fail "no signatures: found $(cat "$work/log")"
  echo "ok: signatures: loaded when signed, refused when not, and by a loader that cannot tell"
fi

quietly cmake -S "$here/consumers/add_subdirectory" -B "$work/add_subdirectory" -G "$generator"
quietly cmake --build "$work/add_subdirectory"
check_all "add_subdirectory" "$work/add_subdirectory"
