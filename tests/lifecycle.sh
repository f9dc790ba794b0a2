# What tests of bundles' lives share: embed, check, refused_with. `pannier`, `data`, `work`, `failures` are the sourcing script's.
# shellcheck shell=bash disable=SC2154
embed() { "$pannier" embed "$@" --graph "$data/graph.json" --params "$data/params.bin" -q; }
check() {  # check NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    printf 'ok      %s\n' "$name"
  else
    printf 'FAILED  %s\n' "$name"
    sed 's/^/        /' "$work/out" "$work/log" 2>/dev/null || true
    failures=$((failures + 1))
  fi
}
refused_with() {  # refused_with STATUS TEXT COMMAND...
  local status=0 expected=$1 text=$2
  shift 2
  "$@" >"$work/refusal" 2>&1 || status=$?
  cat "$work/refusal"
  [[ $status == "$expected" ]] && grep -qF -e "$text" "$work/refusal"
}
