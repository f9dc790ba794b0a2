#!/usr/bin/env bash
# Debian packages that ./demo and ./check need: installs them, or without root says which are missing.
#
# usage: cmake/install_dependencies.sh demo|check
#
# With PANNIER_DEPENDENCIES=own nothing is looked for: for machines whose libraries come from elsewhere (vcpkg, conda, no Debian).
set -euo pipefail

readonly demo_packages=(
  cmake ninja-build g++ pkg-config python3 python3-venv
  libzstd-dev libssl-dev libfmt-dev libcli11-dev libflatbuffers-dev flatbuffers-compiler nlohmann-json3-dev
)
# clang-format 14 and clang-tidy 14 are Debian 12's; the cross compilers and QEMU are for the loader on other machines.
# LLVM 14 does not know chained fixups of macOS. The last line is for tests/languages.sh and tests/zoo.py, which take what is not
# Debian's, too.
readonly check_packages=(
  libcatch2-dev clang clang-format clang-tidy lld mold llvm binutils elfutils patchelf gdb musl-tools qemu-user xz-utils
  g++-aarch64-linux-gnu g++-arm-linux-gnueabihf g++-i686-linux-gnu g++-powerpc64le-linux-gnu g++-riscv64-linux-gnu g++-s390x-linux-gnu g++-powerpc-linux-gnu
  llvm-16 lld-16 osslsigncode openssl gcc-mingw-w64-x86-64 gcc-mingw-w64-i686 g++-mingw-w64-x86-64-posix g++-mingw-w64-i686-posix
  wine wine64 dpkg-dev file zstd pylint groff-base fish zsh chromium graphviz fonts-dejavu-core doxygen
  rustc golang-go default-jdk-headless libjna-java npm
)

fail() {
  echo "install_dependencies.sh: $*" >&2
  exit 1
}

version_of_installed() { dpkg-query -W -f='${db:Status-Abbrev} ${Version}' "$1" 2>/dev/null | sed -n 's/^.i *//p'; }
version_on_offer() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v '(none)' || true; }
at_least() { [[ -n $1 ]] && dpkg --compare-versions "$1" ge "$2"; }

is_installed() {
  local version
  case $1 in
    rustc) command -v rustc >/dev/null && return ;;
    golang-go) command -v go >/dev/null && return ;;
    npm) command -v npm >/dev/null && return ;;
    default-jdk-headless) command -v javac >/dev/null && return ;;
  esac
  version=$(version_of_installed "$1")
  # Up to Debian 12 there is a Catch2 2 of another interface.
  if [[ $1 == libcatch2-dev ]]; then at_least "$version" 3; else [[ -n $version ]]; fi
}

# Prints the entry of this machine's own apt sources that offers the release SUITE, changed to offer SUITE-backports. Keys, options and
# the archive's address stay what the machine's owner chose.
backports_source() {
  local suite=$1 file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    awk -v suite="$suite" '
      function has(list, word,   words, count, i) {
        count = split(list, words, /[ \t]+/)
        for (i = 1; i <= count; i++) if (words[i] == word) return 1
        return 0
      }
      BEGIN { RS = ""; FS = "\n" }
      {
        delete fields
        kept = ""
        for (i = 1; i <= NF; i++) {
          if ($i ~ /^#/) continue
          text = $i
          if (text !~ /^[ \t]/) {  # else the line goes on with the field before
            name = tolower(text)
            sub(/:.*/, "", name)
            sub(/^[^:]*:/, "", text)
          }
          fields[name] = fields[name] " " text
          if (name !~ /^(types|suites|components)$/) kept = kept $i "\n"
        }
        if (tolower(fields["enabled"]) ~ /no/) next
        if (!has(fields["types"], "deb") || !has(fields["suites"], suite) || !has(fields["components"], "main")) next
        printf "Types: deb\nSuites: %s-backports\nComponents: main\n%s", suite, kept
        exit
      }' "$file" >"$scratch/found"
    [[ -s $scratch/found ]] && cat "$scratch/found" >"$scratch/sources/pannier-backports.sources" && return
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -f $file ]] || continue
    sed -nE "s/^[ \t]*(deb[ \t]+(\[[^]]*\][ \t]+)?[^ \t]+)[ \t]+${suite}[ \t]+([^#]*[ \t])?main([ \t#].*)?$/\1 $suite-backports main/p" "$file" |
      head -n 1 >"$scratch/found"
    [[ -s $scratch/found ]] && cat "$scratch/found" >"$scratch/sources/pannier-backports.list" && return
  done
  fail "libcatch2-dev 3: found no apt source of Debian $suite to take $suite-backports from; install Catch2 3 yourself"
}

# Debian 12 has Catch2 3 in its backports only. A copy of the machine's sources with that suite added serves this one call: the
# machine's own list stays as it is.
install_from_backports() {
  local suite
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ -n $suite ]] || fail "libcatch2-dev 3: not in this system's packages, and /etc/os-release names no Debian release"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  chmod 755 "$scratch"
  mkdir "$scratch/sources"
  find /etc/apt/sources.list.d -maxdepth 1 \( -name '*.list' -o -name '*.sources' \) -exec cp {} "$scratch/sources" \;
  backports_source "$suite"
  local options=(-o Dir::Etc::sourceparts="$scratch/sources")
  as_root apt-get "${options[@]}" update --quiet
  as_root apt-get "${options[@]}" install --yes --no-install-recommends "$1/$suite-backports"
}

as_root() {
  local prefix=(env DEBIAN_FRONTEND=noninteractive)
  if ((EUID == 0)); then "${prefix[@]}" "$@"; else sudo -n "${prefix[@]}" "$@"; fi
}

main() {
  local wanted=("${demo_packages[@]}") missing=() package
  case ${1:-} in
    demo) ;;
    check) wanted+=("${check_packages[@]}") ;;
    *) fail "usage: cmake/install_dependencies.sh demo|check" ;;
  esac
  if [[ ${PANNIER_DEPENDENCIES:-} == own ]]; then
    echo "PANNIER_DEPENDENCIES=own: not looking for packages"
    return
  fi
  command -v dpkg-query >/dev/null ||
    fail "this is not Debian; install what these are called here, then set PANNIER_DEPENDENCIES=own: ${wanted[*]}"

  for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    echo "all ${#wanted[@]} packages are there"
    return
  fi

  if ((EUID != 0)) && ! sudo -n true 2>/dev/null; then
    echo "missing, and installing needs root: ${missing[*]}" >&2
    echo "run as root, then try again:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    if [[ " ${missing[*]} " == *" libcatch2-dev "* ]] && ! at_least "$(version_on_offer libcatch2-dev)" 3; then
      echo "where libcatch2-dev (Catch2 3) comes from the release's backports, which must be among the apt sources;" >&2
      echo "run by root, $0 $1 does all of this" >&2
    fi
    exit 1
  fi

  echo "installing: ${missing[*]}"
  as_root apt-get update --quiet
  local ordinary=() backported=()
  for package in "${missing[@]}"; do
    if [[ $package == libcatch2-dev ]] && ! at_least "$(version_on_offer "$package")" 3; then
      backported+=("$package")
    else
      ordinary+=("$package")
    fi
  done
  ((${#ordinary[@]} == 0)) || as_root apt-get install --yes --no-install-recommends "${ordinary[@]}"
  ((${#backported[@]} == 0)) || install_from_backports "${backported[@]}"
}

main "$@"
