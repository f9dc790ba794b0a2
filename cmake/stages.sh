# Stages with headers, times and a summary, for ./demo and ./check; sourced by them.
# shellcheck shell=bash

stage_lines=()
stage_failures=0
failed_output=''

# stage NAME COMMAND...: runs it to its end or its first error, and remembers the outcome.
stage() {
  local name=$1 start=$SECONDS status=0 output
  shift
  output=$(mktemp)
  printf '\n=== %s\n' "$name"
  # In `if` or `||` a function would run on after an error, in spite of `set -e`.
  set +e
  (set -e; "$@") 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  set -e
  if ((status == 0)); then
    stage_lines+=("$(printf 'ok      %5d s  %s' $((SECONDS - start)) "$name")")
  else
    stage_lines+=("$(printf 'FAILED  %5d s  %s' $((SECONDS - start)) "$name")")
    stage_failures=$((stage_failures + 1))
    failed_output+=$(printf '\n=== %s: lines that tell of errors, and the last ones\n' "$name")$'\n'
    failed_output+=$(grep -E 'error:|warning:|FAILED|Failed|\*\*\*' "$output" | tail -n 10; echo ...; tail -n 5 "$output")$'\n'
  fi
  rm -f "$output"
  printf -- '--- %s: %d s, status %d\n' "$name" $((SECONDS - start)) "$status"
  return 0
}

# Ends the script with all stages' outcome, and what those that failed had to say: whoever looks may see the end alone.
finish_stages() {
  printf '\n=== summary\n'
  printf '%s\n' "${stage_lines[@]}"
  printf '%s: %d s in all, %d of %d stages failed\n' "$(basename "$0")" "$SECONDS" "$stage_failures" "${#stage_lines[@]}"
  printf '%s' "$failed_output"
  ((stage_failures == 0))
}
