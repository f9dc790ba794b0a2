# Stages with headers, times and a summary, for ./demo and ./check; sourced by them.
# shellcheck shell=bash

stage_lines=()
stage_failures=0

# stage NAME COMMAND...: runs it to its end or its first error, and remembers the outcome.
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  printf '\n=== %s\n' "$name"
  # In `if` or `||` a function would run on after an error, in spite of `set -e`.
  set +e
  (set -e; "$@")
  status=$?
  set -e
  if ((status == 0)); then
    stage_lines+=("$(printf 'ok      %5d s  %s' $((SECONDS - start)) "$name")")
  else
    stage_lines+=("$(printf 'FAILED  %5d s  %s' $((SECONDS - start)) "$name")")
    stage_failures=$((stage_failures + 1))
  fi
  printf -- '--- %s: %d s, status %d\n' "$name" $((SECONDS - start)) "$status"
  return 0
}

# Ends the script with all stages' outcome.
finish_stages() {
  printf '\n=== summary\n'
  printf '%s\n' "${stage_lines[@]}"
  printf '%s: %d s in all, %d of %d stages failed\n' "$(basename "$0")" "$SECONDS" "$stage_failures" "${#stage_lines[@]}"
  ((stage_failures == 0))
}
