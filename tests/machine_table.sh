# Rows of "what was tried on which machine": for tests/foreign_machines.sh and tests/windows.sh, which source this.
# A machine is tested in a process of its own, which sets `machine` and `folder`; what it has to say goes to files in its folder.
# shellcheck shell=bash disable=SC2154

# row STATUS CODEC WHAT DIFFERENCE
row() { printf '%-7s %-22s %-6s %-26s %s\n' "$1" "$machine" "$2" "$3" "${4:--}" >>"$folder/rows.txt"; }

# attempt CODEC WHAT COMMAND...: one row of the table.
attempt() {
  local codec=$1 what=$2 status=ok
  shift 2
  # The time limit is for an emulator that hangs.
  timeout 120 "$@" >"$folder/output.txt" 2>&1 || status=FAILED
  row "$status" "$codec" "$what" "$(sed -n 's/.*largest difference \([^,]*\),.*/\1/p' "$folder/output.txt")"
  [[ $status == ok ]] || { echo "$machine, $codec, $what: $*" && cat "$folder/output.txt"; } >>"$folder/failures.txt"
}

# step NAME COMMAND...: what the machine's tests need first; says nothing unless it fails.
step() {
  local name=$1
  shift
  "$@" >"$folder/$name.txt" 2>&1 && return
  row FAILED - "$name"
  { echo "$machine: $name:" && tail -n 40 "$folder/$name.txt"; } >>"$folder/failures.txt"
  return 1
}

count() { grep -c "^$1 " "$work/table.txt" || true; }

# print_table WHY_SKIPPED MACHINE...: everything at the end. Fails if anything did, or if a machine went down without a word.
print_table() {
  local why_skipped=$1 machine
  shift
  printf '%-7s %-22s %-6s %-26s %s\n' status machine codec what "largest difference"
  for machine in "$@"; do cat "$work/$machine/rows.txt"; done | tee "$work/table.txt"
  for machine in "$@"; do
    [[ ! -f $work/$machine/failures.txt ]] || { echo && cat "$work/$machine/failures.txt"; } >&2
  done
  echo "$(count ok) ok, $(count FAILED) failed, $(count skipped) skipped ($why_skipped), $SECONDS s"
  for machine in "$@"; do
    grep -q -e "^ok .* $machine .*auto" -e "^skipped .* $machine .* all of it" "$work/table.txt" || fail "$machine: no result"
  done
  (($(count FAILED) == 0))
}
