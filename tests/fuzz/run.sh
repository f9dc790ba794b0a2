#!/usr/bin/env bash
# Fuzzes: builds the targets with clang, runs each in turn, and says what it cost and what was found.
#
# usage: tests/fuzz/run.sh [SECONDS] [TARGET...]    each target (default: all) for so many seconds (default: 60)
#        tests/fuzz/run.sh --keep                   what was learned, as little of it as covers as much, becomes
#                                                   tests/fuzz/corpus/*.tar.xz
#
# Inputs that end a target are kept in build/fuzz/findings/TARGET; the exit status is then 1. All other inputs that reached
# something new are in build/fuzz/corpus/TARGET, and later runs begin with them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly build=$PWD/build/fuzz kept=$PWD/tests/fuzz/corpus
readonly all_targets=(
  bundle chunk code_signature commands decoded_cache detached elf_host embed encode graph library_facts macho_host manifest module_blob
  params pe_host signatures tensor_table verify
)
readonly max_findings=10  # of a target and run: what stops it at once is found again and again

fail() {
  echo "run.sh: $*" >&2
  exit 2
}

# Where bundles are decoded, inputs may rightly ask for more than anywhere else.
max_input() {
  case $1 in
    bundle | commands | embed | verify) echo 131072 ;;
    library_facts | *_host) echo 65536 ;;
    *) echo 16384 ;;
  esac
}

# Targets with the same kind of input share what is kept. CMakeLists.txt has the same groups.
group_of() {
  case $1 in
    bundle | commands | verify) echo bundles ;;
    embed | library_facts | *_host) echo hosts ;;
    *) echo "$1" ;;
  esac
}

fuzz() {
  local target=$1
  shift
  # LIEF is not built with sanitizers; a vector that grew in one half of the program looks overgrown to the other.
  ASAN_OPTIONS=detect_container_overflow=0:quarantine_size_mb=16:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    TMPDIR=$scratch "$build/tests/fuzz/fuzz_$target" -max_len="$(max_input "$target")" -timeout=10 -rss_limit_mb=1024 \
    -malloc_limit_mb=128 -print_final_stats=1 "$@"
}

# Unpacks what is kept, and makes the inputs to begin with.
prepare() {
  local target=$1 packed
  packed=$kept/$(group_of "$target").tar.xz
  mkdir -p "$build/corpus/$target" "$build/findings/$target"
  if [[ -f $packed ]]; then tar -xJf "$packed" -C "$build/corpus/$target"; fi
}

stat_of() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

# One target until its time is over. Sets executions, processor seconds and findings.
run_target() {
  local target=$1 seconds=$2 log=$build/findings/$1.log begin=$SECONDS left executed
  executions=0 findings=0
  : >"$log"
  count_processor_milliseconds
  local before=$processor_milliseconds
  while left=$((seconds - (SECONDS - begin))) && ((left > 0 && findings < max_findings)); do
    if ! fuzz "$target" -max_total_time="$left" -artifact_prefix="$build/findings/$target/" \
      "$build/corpus/$target" "$build/seeds/$target" >"$log.part" 2>&1; then
      findings=$((findings + 1))
      grep -E '^(SUMMARY|broken promise|artifact_prefix)|runtime error' "$log.part" >&2 || true
    fi
    executed=$(stat_of number_of_executed_units "$log.part")
    executions=$((executions + ${executed:-0}))
    cat "$log.part" >>"$log"
  done
  rm -f "$log.part"
  count_processor_milliseconds
  processor_seconds=$(((processor_milliseconds - before) / 1000))
}

# Of all children so far. In this shell itself: another one would tell of its own.
count_processor_milliseconds() {
  times >"$scratch/times"
  processor_milliseconds=$(awk 'NR == 2 { gsub(/[ms]/, " "); printf "%d", 1000 * (60 * ($1 + $3) + $2 + $4) }' "$scratch/times")
}

# What reaches something that the seeds, which are made anew each time, do not. Large inputs would make the repository large.
keep() {
  local group target seed
  mkdir -p "$kept"
  for group in "$@"; do
    rm -rf "$scratch/merged" "$scratch/learned"
    mkdir "$scratch/merged"
    for target in "${all_targets[@]}"; do
      [[ $(group_of "$target") == "$group" ]] || continue
      prepare "$target"
      cp "$build/seeds/$target"/* "$scratch/merged"
      mkdir "$scratch/learned"
      find "$build/corpus/$target" -type f -size -40k -exec cp -t "$scratch/learned" {} +
      fuzz "$target" -merge=1 -use_counters=0 "$scratch/merged" "$scratch/learned" >"$scratch/merge.log" 2>&1 ||
        { tail -n 20 "$scratch/merge.log" >&2; fail "$target: cannot be merged; see to its findings first"; }
      for seed in "$build/seeds/$target"/*; do rm "$scratch/merged/${seed##*/}"; done
      rm -r "$scratch/learned"
    done
    tar -C "$scratch/merged" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - . | xz -9e >"$kept/$group.tar.xz"
    printf '%-16s %6d inputs, %8d bytes packed\n' "$group" "$(find "$scratch/merged" -type f | wc -l)" \
      "$(stat -c %s "$kept/$group.tar.xz")"
  done
}

main() {
  local seconds=60 is_keeping=false targets=() target total=0
  if [[ ${1:-} == --keep ]]; then is_keeping=true; shift; fi
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then seconds=$1; shift; fi
  targets=("$@")
  if ((${#targets[@]} == 0)); then targets=("${all_targets[@]}"); fi
  for target in "${targets[@]}"; do
    [[ -f tests/fuzz/fuzz_$target.cc ]] || fail "$target: no such target; there are: ${all_targets[*]}"
  done

  command -v clang++ >/dev/null || fail "clang++ is missing: apt-get install clang"
  local runtime
  runtime=$(clang++ -print-file-name=libclang_rt.fuzzer-x86_64.a)
  [[ -e $runtime || -n $(find "$(clang++ -print-resource-dir)" -name '*fuzzer*' -print -quit) ]] ||
    fail "libFuzzer is missing: apt-get install libclang-rt-14-dev (or of clang's own version)"
  cmake --preset fuzz >/dev/null
  cmake --build --preset fuzz
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  rm -rf "$build/seeds"
  TMPDIR=$scratch ASAN_OPTIONS=detect_container_overflow=0 "$build/tests/fuzz/make_seeds" "$build/seeds"
  if $is_keeping; then
    local groups
    mapfile -t groups < <(for target in "${targets[@]}"; do group_of "$target"; done | sort -u)
    keep "${groups[@]}"
    return
  fi

  printf '%-16s %12s %12s %10s %9s\n' target executions "CPU seconds" coverage findings
  for target in "${targets[@]}"; do
    prepare "$target"
    run_target "$target" "$seconds"
    printf '%-16s %12d %12d %10s %9d\n' "$target" "$executions" "$processor_seconds" \
      "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$build/findings/$target.log" | tail -n 1)" "$findings" | tee -a "$build/tally"
    total=$((total + findings))
  done
  ((total == 0)) || { echo "run.sh: $total findings: $build/findings" >&2; exit 1; }
}

main "$@"
