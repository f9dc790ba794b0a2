#!/usr/bin/env bash
# Gets Wine for 32-bit programs from this machine's Debian archive, unpacked into a folder: nothing is installed.
#
# usage: cmake/fetch_wine32.sh [CACHE]     (build/deps unless given)
# Prints the program to run. Where the package wine32 is installed, that one.
#
# Installing wine32 takes i386 as a second architecture of the whole machine, and then each of some 100 libraries in the very version
# that the first one has; where the archive's two architectures are not of the same hour, that fails. Wine's own programs need four of
# those libraries.
set -euo pipefail

readonly installed=/usr/lib/wine/wine
if [[ -x $installed ]]; then
  echo "$installed"
  exit
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly cache=${1:-$root/build/deps}
# Its server talks to the wine64 that is installed.
version=$(dpkg-query -W -f='${Version}' wine64)
readonly version
readonly folder=$cache/wine32-$version
mkdir -p "$cache"
exec 9>"$cache/wine32.lock"  # two builds of pannier may come here at the same time
flock 9

if [[ -f $folder/complete.txt ]]; then
  echo "$folder/wine"
  exit
fi
rm -rf "$folder"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
exec 8>&1 >"$folder/log.txt" 2>&1
trap 'tail -n 20 "$folder/log.txt" >&8' ERR

# One suite alone agrees with itself.
readonly apt=$folder/apt
: >"$apt/status"
# shellcheck disable=SC2016  # apt's own variables
apt-get indextargets --format '$(REPO_URI) $(RELEASE)' "Created-By: Packages" "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" \
  "Component: main" "Origin: Debian" | sort -u |
  sed 's|^|deb [arch=i386 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] |; s|$| main|' >"$apt/sources.list"
readonly options=(-o APT::Architecture=i386 -o APT::Architectures::=i386 -o APT::Sandbox::User=root
  -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/nonexistent
  -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache")
apt-get "${options[@]}" update --quiet
(cd "$apt" && apt-get "${options[@]}" download wine32="$version" libwine="$version" libc6 libgcc-s1 libunwind8 liblzma5 libz-mingw-w64)
for file in "$apt"/*.deb; do dpkg-deb --extract "$file" "$folder"; done
cp "$folder/usr/i686-w64-mingw32/lib/zlib1.dll" "$folder/usr/lib/i386-linux-gnu/wine/i386-windows/"  # a link to /usr
readonly libraries=$folder/lib/i386-linux-gnu:$folder/usr/lib/i386-linux-gnu
patchelf --set-interpreter "$folder/lib/ld-linux.so.2" --set-rpath "$libraries" "$folder/usr/lib/wine/wine"
# Wine's modules ask for their libraries by themselves.
cat >"$folder/wine" <<EOF
#!/bin/sh
export LD_LIBRARY_PATH='$libraries' WINESERVER=/usr/lib/wine/wineserver64
exec '$folder/usr/lib/wine/wine' "\$@"
EOF
chmod +x "$folder/wine"
rm -rf "$apt" "$folder/usr/lib/i386-linux-gnu/wine/x86_64-windows" "$folder"/usr/share/{doc,man}
touch "$folder/complete.txt"
echo "$folder/wine" >&8
