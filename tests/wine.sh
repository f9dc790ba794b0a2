# Wine for tests, with no window and no sound of its own: for tests/windows.sh and tests/windows_embedder.sh, which source this.
# A machine's tests set `wine` (the program) and `folder` first.
# shellcheck shell=bash disable=SC2154

readonly wine64=/usr/lib/wine/wine64
# In another locale Wine waits for ever on arguments that are not ASCII (seen with 8.0).
export LC_ALL=C.UTF-8
export WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml,winemenubuilder.exe=' DISPLAY=

# A folder that Wine takes for a computer's disk (600 MB), and one server for all that follows.
make_prefix() {
  export WINEPREFIX=$folder/prefix
  rm -rf "$WINEPREFIX"
  timeout 300 "$wine" wineboot --init && timeout 60 "$wine" cmd /c exit
}

remove_prefix() {
  timeout 60 /usr/lib/wine/wineserver64 --kill --wait || true
  rm -rf "$WINEPREFIX"
}
